"""Filters and orders as people write them (AIP-160, AIP-132): read, checked against what there is, no I/O."""
