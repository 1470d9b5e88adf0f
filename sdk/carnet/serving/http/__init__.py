"""A small HTTP listener beside gRPC, for those who speak the C2SP protocols of transparency logs."""
