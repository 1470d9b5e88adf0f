"""What the documentation states of memory, speed and bytes moved, measured as ratios within one run."""
