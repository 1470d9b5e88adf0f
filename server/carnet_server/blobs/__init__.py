"""Blobs: the files' bytes, named by their SHA-256, and which namespace has been given which."""
