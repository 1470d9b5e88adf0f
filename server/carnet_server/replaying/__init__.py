"""Replaying the policies of an export: whether each decision that said yes is what its policy says."""
