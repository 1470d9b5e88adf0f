"""Carnet's policy engine: what an environment demands before it admits a bundle.

``document.load_policy`` reads and checks a policy, ``facts.Facts`` says what was verified, and
``engine.PolicyEngine`` gives every rule's result. Importing the package loads none of them, so that the
worker process stays small.
"""
