"""Reports for machines: copies of the logs of all environments, verified, and what is derived from them."""
