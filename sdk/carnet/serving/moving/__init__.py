"""Moving a service's database into another one: SQLite to PostgreSQL, back, or anywhere.

``schemas`` says what the installed services keep, ``looking`` looks at a database without changing it,
``source`` holds one still while it is read, ``target`` decides whether one may be moved into, ``marker``
marks what is not finished, ``rows`` reads tables in the order of their keys, and ``copying`` makes the move
and verifies it. Which URL is which, and blobs, are the command's business (``carnet_server.moving``).
"""
