"""``carnet migrate``: an environment's data moved to other databases and other stores of blobs.

``pairs`` reads what the command was given, ``registry`` says what a registry keeps and verifies a log that
was moved, ``blobs`` copies blobs, ``house`` makes several moves in the order that is safe, and ``command``
is the command. Databases are copied by ``carnet.serving.moving``.
"""
