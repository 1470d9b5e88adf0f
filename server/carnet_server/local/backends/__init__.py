"""The stores that a federation on one machine starts by itself: a PostgreSQL server and an S3 endpoint.

Responsible for finding their programs (extra ``backends``), for preparing their folders below ``backends/``,
and for starting them as processes of the federation. For trying Carnet out and for tests: a real environment
has its own database server and object store, and names them in its configuration. Nothing here is imported
where neither is asked for.
"""
