"""The command line: `carnet`."""
