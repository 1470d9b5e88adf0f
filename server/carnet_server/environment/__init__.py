"""What the environment is: its name, keys and documents, and what it says of itself."""
