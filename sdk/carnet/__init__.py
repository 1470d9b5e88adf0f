"""Carnet: model registries per environment, and signed, gated, audited promotion between them."""
