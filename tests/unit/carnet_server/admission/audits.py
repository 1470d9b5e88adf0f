"""An audit of a world of registries: its logs exported with their documents, and verified by pinned keys."""

from __future__ import annotations

from carnet.audit.export import ExportWriter
from carnet.audit.pins import Pins
from carnet.audit.verify import verify_export
from carnet.translog.entry import parse_entry
from tests.unit.carnet_server.admission.parties import subject


async def audited(world, folder):
    """Export both logs with the documents that are held, and verify them offline with pinned keys."""
    for registry in (world.dev, world.staging):
        entries = await registry.log.entries(0, 1000)
        with ExportWriter(folder).environment(registry.name) as export:
            export.write_log([data for _, data, _ in entries], registry.log.checkpoint)
            for digest in sorted({each for _, data, _ in entries for each in parse_entry(data).documents}):
                document = await registry.log.document(digest)
                if document is not None:
                    export.add_document(document)
    return verify_export(folder, pins(world))


def pins(world):
    """The keys of both environments, and of everybody who signs there."""
    keys = world.parties.keys
    signers = {"alice": ("alice", "ci"), "evaluator": ("evaluator",)}
    signers |= {name: (name,) for name in ("bob", "dave", "erin")}
    return Pins.from_mapping(
        {
            "environments": {
                name: {
                    "log_key": world.parties.logs[name].verifier.vkey,
                    "signing_key": keys[name].verification_key.pem,
                }
                for name in ("dev", "staging")
            },
            "people": {
                name: {
                    "keys": [keys[each].verification_key.pem for each in each_of],
                    "subjects": [subject(each) for each in each_of],
                }
                for name, each_of in signers.items()
            },
        }
    )
