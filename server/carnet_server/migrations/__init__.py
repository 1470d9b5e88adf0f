"""Alembic's environment and the schema's history; run through ``carnet_server.database.migrate``."""
