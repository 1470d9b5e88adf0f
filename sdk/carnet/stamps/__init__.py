"""The stamps of a bundle: what shows, without any server, how it came to where it is.

A stamp is a signed statement or the receipt of a log's entry. ``stamp`` reads one, ``way`` finds out which
belong where, ``verify`` judges them by pinned keys, ``folder`` keeps them beside the bundle.
"""
