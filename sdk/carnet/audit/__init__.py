"""Offline verification: what an auditor can know without trusting any server.

Holds what an auditor trusts (``pins``), the copy of logs that is verified (``export``, ``layout``), the
checks (``chain``, ``documents``, ``statements``, ``meaning``, ``approvals``, ``joins``) and what they found
(``report``); ``verify`` puts them together. Needs the exported files and the pinned keys: no server, no
database, no network.
"""
