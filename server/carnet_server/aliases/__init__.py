"""Aliases: named pointers to versions, moved by compare-and-swap, with all their history."""
