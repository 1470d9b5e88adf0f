"""The promotion service: it carries signed bundles between registries, retries, and waits.

It is trusted with nothing: every fact that a target relies on is signed by whoever states it, and the target
decides. What is here is convenience and persistence, and it meets registries only over gRPC.
"""
