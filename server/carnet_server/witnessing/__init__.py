"""Witnessing: cosigning the logs of others, and having one's own cosigned."""
