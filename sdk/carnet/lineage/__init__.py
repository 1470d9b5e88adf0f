"""Where versions came from and where they went: a graph, and the forms in which it is written."""
