"""Searching an environment's versions by filters."""
