"""Folding a registry's log into what its tables must hold, and comparing."""
