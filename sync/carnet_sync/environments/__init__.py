"""The environments that are carried between: links to their registries, and what is told of them."""
