"""Keys, DSSE envelopes, and the signed statements that parties make about bundles."""
