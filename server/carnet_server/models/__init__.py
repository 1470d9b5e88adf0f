"""Models and their versions: what is published here, what was admitted, and what was withdrawn."""
