"""Who signed a policy or trust document that a log put in force.

Responsible for the names of the pinned people whose signatures, kept with the entry, verify over the very
document. Whether they sufficed stands in the environment's own configuration, which no log has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.signing.document import read_header
from carnet.signing.document_signers import DocumentSigners

if TYPE_CHECKING:
    from carnet.audit.reports.derivation import Sources
    from carnet.translog.entry import Entry


def document_signers(sources: Sources, environment: str, entry: Entry) -> tuple[str, ...]:
    """Return the pinned people who signed what an entry puts in force, by name.

    Args:
        sources: Where the documents are, and who is pinned.
        environment: Whose log it is.
        entry: A ``policy.changed`` or ``trust.changed`` entry.
    """
    if entry.request_digest is None or entry.envelope_digest is None:
        return ()
    document = sources.read(environment, entry.envelope_digest)
    lines = sources.read(environment, entry.request_digest)
    if document is None or lines is None:
        return ()
    signers = DocumentSigners(0, sources.people.keys, sources.people.names_of_keys)
    try:
        header = read_header(document, name=f"{entry.type}")
        return tuple(sorted(each.person for each in signers.judge(header, lines).signed))
    except CarnetError:
        return ()
