"""Retention: what is kept, what may be purged, what is held, and what looks neglected."""
