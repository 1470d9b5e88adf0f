"""Blobs in an object store: S3, GCS or Azure; small ones an object each, large ones in parts."""
