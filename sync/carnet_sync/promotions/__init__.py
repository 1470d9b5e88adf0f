"""Promotions: their states, their storage, the worker that carries them on, and the service over them."""
