"""Reading other registries' stores into this one's documents; nothing here talks to a registry."""
