"""Witnessing the logs of the environments, so that none can show two histories."""
