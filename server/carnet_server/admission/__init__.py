"""Admission: how this environment takes a bundle in, or refuses it, under its own policy."""
