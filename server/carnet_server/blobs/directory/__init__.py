"""Blobs in a directory: one file a blob, under its digest."""
