"""A whole federation on one machine: making its files, starting and stopping its processes."""
