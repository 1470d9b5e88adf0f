"""The transparency log: an append-only Merkle tree of everything that changed an environment.

Holds what a log's writer and its readers share: hashing and proofs (``tree``, ``proof``), signed tree heads
(``note``, ``keys``, ``checkpoint``, ``cosignature``), the file layout (``tiles``), entries (``entry``) and
receipts (``receipt``). Stores nothing and calls nobody.
"""
