"""Generate the contract's Python code, lint it with buf, and tell whether what is committed is current.

Writes message and stub modules below ``<out>/carnet/{registry,sync}/v1`` from the sources beside this file.
Well-known and google.rpc types come from the installed packages; nothing is vendored.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

PROTO_ROOT = Path(__file__).resolve().parent
PACKAGES = ("carnet/registry/v1", "carnet/sync/v1")
SCRIPTS = Path(sysconfig.get_path("scripts"))


def sources() -> list[str]:
    """The contract's files, relative to the proto root."""
    return sorted(str(path.relative_to(PROTO_ROOT)) for path in PROTO_ROOT.rglob("*.proto"))


def generate(out: Path) -> None:
    """Run protoc and lint its descriptor set."""
    bundled = Path(str(resources.files("grpc_tools") / "_proto"))
    includes = [PROTO_ROOT, bundled, Path(sysconfig.get_path("purelib"))]
    with tempfile.TemporaryDirectory() as scratch:
        descriptor_set = Path(scratch) / "carnet.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc"]
        command += [f"--proto_path={include}" for include in includes]
        command += [f"--plugin=protoc-gen-mypy={SCRIPTS / 'protoc-gen-mypy'}"]
        command += [f"--plugin=protoc-gen-mypy_grpc={SCRIPTS / 'protoc-gen-mypy_grpc'}"]
        command += [f"--python_out={out}", f"--grpc_python_out={out}"]
        command += [f"--mypy_out=readable_stubs:{out}", f"--mypy_grpc_out=only_async:{out}"]
        command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={descriptor_set}"]
        subprocess.run([*command, *sources()], check=True)
        lint = [str(SCRIPTS / "buf"), "lint", str(descriptor_set), "--config", str(PROTO_ROOT / "buf.yaml")]
        subprocess.run(lint, check=True)
    for package in PACKAGES:
        folder = out / package
        folder.joinpath("__init__.py").write_text(f'"""Generated from proto/{package}: do not edit."""\n')
        parent = folder.parent / "__init__.py"
        if not parent.exists():
            parent.write_text(f'"""Generated from proto/{package}: do not edit."""\n')


def stale_files(committed: Path) -> list[str]:
    """The generated files that differ from what is committed, are missing from it, or are left over."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        for package in PACKAGES:
            (fresh / package).mkdir(parents=True)
        generate(fresh)
        stale = []
        for package in PACKAGES:
            names = {path.name for root in (fresh, committed) for path in (root / package).glob("*.py*")}
            folders = (fresh / package, committed / package)
            _, differ, odd = filecmp.cmpfiles(*folders, sorted(names), shallow=False)
            stale += [f"{package}/{name}" for name in (*differ, *odd)]
        return stale


def main() -> int:
    """Generate, or with ``--check`` compare; exit 1 when what is committed is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the source root to write below")
    parser.add_argument("--check", action="store_true", help="compare with what is there instead of writing")
    options = parser.parse_args()
    if not options.check:
        generate(options.out)
        return 0
    stale = stale_files(options.out)
    if stale:
        print("generated code is not current, run `make proto`:", *stale, sep="\n  ", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
