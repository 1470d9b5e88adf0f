"""The environment's append-only log: written with every change, in one transaction with it."""
