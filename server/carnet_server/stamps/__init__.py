"""Stamps: what this environment can show of a version's way here, and what it keeps of the way before."""
