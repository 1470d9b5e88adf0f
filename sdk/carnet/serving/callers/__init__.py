"""Who calls a server: certificates, OIDC tokens, the forms of subjects, and identities that are revoked."""
