"""What the registry and the promotion service share as servers: calls, listening, running, databases, pages.

Clients do not import it: it needs the extras ``server`` or ``sync``.
"""
