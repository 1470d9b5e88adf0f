"""The chapters of the demo's story, a module each: a function that acts in a ``Scene`` and tells of it."""
