"""Evidence: signed attestations about bundles, and which of them count here."""
