"""What a serving host does in a rollout: route requests by who gets which traffic, and report what it saw."""
