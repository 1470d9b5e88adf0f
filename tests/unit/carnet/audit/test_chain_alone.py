"""The chain of an export is verified with the standard library and ``cryptography``, and nothing else."""

from __future__ import annotations

import subprocess
import sys

from carnet.audit.export import ExportWriter
from carnet.translog.checkpoint import Checkpoint, sign_checkpoint
from carnet.translog.entry import EntryType
from carnet.translog.keys import LogKey
from carnet.translog.tree import leaf_hash, root_of
from tests.unit.carnet.audit.conftest import KEYS

_ALONE = """
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

class Alone(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path)
        place = getattr(spec, "origin", None) or ""
        if "site-packages" in place and name.partition(".")[0] not in {"cryptography", "_cffi_backend", "cffi"}:
            raise ImportError(f"{name} is not there")
        return None

sys.meta_path.insert(0, Alone())
from carnet.audit.anchors import AnchorJudge
from carnet.audit.chain import verify_chain
from carnet.audit.pins import Pins
from carnet.audit.witnessing import read_witnessing

pins = Pins.from_mapping({"environments": {"dev": {"log_key": sys.argv[2], "signing_key": sys.argv[3]}}})
chain = verify_chain(Path(sys.argv[1]) / "dev", pins.environments["dev"], earlier=None)
print(chain.intact, chain.checkpoint.size, [str(each.code) for each in chain.findings])
"""


def verified_alone(directory, key):
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(directory), key.verifier.vkey, KEYS["dev"].verification_key.pem],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(maxsplit=2)


def exported(directory, key, entries):
    with ExportWriter(directory).environment("dev") as export:
        for entry in entries:
            export.append_entry(entry)
        root = root_of(map(leaf_hash, entries))
        export.finish_log(sign_checkpoint(Checkpoint(key.name, len(entries), root), key))


def test_a_chain_verifies_with_cryptography_alone(world, tmp_path):
    key, log = LogKey.generate("example.com/dev"), world.dev
    while len(log.entries) < 300:
        subject = {"namespace": "risk", "model": "fraud", "alias": "champion", "version": len(log.entries)}
        log.add(EntryType.ALIAS_MOVED, subject)
    exported(tmp_path, key, log.entries)
    assert verified_alone(tmp_path, key) == ["True", "300", "[]\n"]
    bundle = tmp_path / "dev" / "tile" / "entries" / "000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"version":77', b'"version":78', 1))
    assert verified_alone(tmp_path, key) == ["False", "300", "['entry-changed']\n"]
