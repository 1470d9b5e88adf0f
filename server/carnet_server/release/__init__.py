"""Release: what this environment states and records, as the source, about a version that leaves it."""
