"""Generated from proto/carnet/sync/v1: do not edit."""
