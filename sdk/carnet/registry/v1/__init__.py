"""Generated from proto/carnet/registry/v1: do not edit."""
