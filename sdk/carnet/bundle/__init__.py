"""Bundles: the document that people write, the canonical manifest, and the signed directory."""
