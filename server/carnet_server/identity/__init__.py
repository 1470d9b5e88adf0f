"""Identities beside client certificates: OIDC tokens, and the command that makes and revokes identities."""
