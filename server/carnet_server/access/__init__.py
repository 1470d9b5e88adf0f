"""Who is asking, what they may do, and which keys this environment trusts for what."""
