"""Talking to registries and to the promotion service."""
