"""One environment's registry: models, blobs, evidence, admission, the log and access.

A folder per feature. Inside each: ``domain`` (frozen dataclasses and pure rules), ``service`` (use cases),
``tables`` and ``queries`` (SQLModel tables, Core statements built once), ``servicer`` (proto to domain and
back, nothing else). ``app`` wires everything.
"""
