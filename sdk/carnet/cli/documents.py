"""``carnet document sign`` and ``carnet document verify``.

Responsible for showing which document is signed before it is signed, and for adding the signature to the file
beside it. What was signed about other bytes of the document counts for nothing any more and is left out then.
Asks no registry: the signers are those that ``environment.yaml`` names, and a registry judges for itself.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.approvals import must_be_asked
from carnet.cli.output import console, emit, print_fields, print_table, printable, when
from carnet.cli.settings import Command, Group, Settings, pass_settings
from carnet.errors import FileUnreadableError, IntegrityError, StatementInvalidError

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.signing.document import DocumentHeader
    from carnet.signing.document_signers import Judgement
    from carnet.signing.keys import SigningKey

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(cls=Group)
def document() -> None:
    """Sign policy and trust documents, and verify who signed them.

    An environment demands it with `documents` in its environment.yaml.

    Example:
      carnet document verify policy.yaml --environment-file environment.yaml
    """


@document.command(cls=Command)
@_FILE
@click.option("--environment", required=True, metavar="ENV", help="The environment that it must be for.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="Your private key; else that of the identity you act as."
)
@click.option("--yes", is_flag=True, help="Sign without asking; a key's passphrase is asked for.")
@pass_settings
def sign(settings: Settings, *, file: Path, environment: str, key: Path | None, yes: bool) -> None:
    """Sign FILE, a policy.yaml or trust.yaml, and add the signature to FILE.intoto.jsonl.

    Read the document first: your signature says that it is to be in force, with that version.

    Examples:
      carnet document sign environments/prod/policy.yaml --environment prod --as bob
      carnet document sign trust.yaml --environment prod --key ~/keys/carol.pem
    """
    from carnet.documents import read_file  # noqa: PLC0415  a quick `--help` needs none of it
    from carnet.signing.document import read_header, sign_document, signatures_file  # noqa: PLC0415  as above

    must_be_asked(settings, "document", yes=yes)
    header = read_header(read_file(file, what="the document"), name=str(file))
    if header.environment != environment:
        raise StatementInvalidError(
            f"{file} is {header}, and not a document of {environment}: nothing was signed",
            metadata={"field": "environment"},
        )
    if not settings.json:
        print_fields(console(), _shown(header).items())
    signer = _open_key(settings, key)
    if not yes:
        click.confirm(f"Sign {header}?", abort=True, err=True)
    envelope = sign_document(header, signer, datetime.now(UTC))
    beside = signatures_file(file)
    count = _add(beside, header, envelope.to_bytes(), signer)
    answer = {"document": asdict(header), "key_id": signer.key_id, "file": beside, "signatures": count}
    emit(settings, answer, lambda page: page.print(f"signed: {beside} has {count} of this document now"))


@document.command(cls=Command)
@_FILE
@click.option(
    "--environment-file",
    type=click.Path(path_type=Path),
    required=True,
    help="The environment.yaml that names the signers; yours, and not one that came with the document.",
)
@pass_settings
def verify(settings: Settings, *, file: Path, environment_file: Path) -> None:
    """Tell who signed FILE, and whether it suffices for the environment.

    Whether it is newer than what is in force, and sound, is the registry's to say.

    Example:
      carnet document verify policy.yaml --environment-file environment.yaml
    """
    from carnet.documents import read_file  # noqa: PLC0415  as above
    from carnet.signing.document import read_header, signatures_file  # noqa: PLC0415  as above
    from carnet.signing.document_signers import DocumentSigners, read_environment_signers  # noqa: PLC0415

    name, signers = read_environment_signers(environment_file)
    header = read_header(read_file(file, what="the document"), name=str(file))
    if header.environment != name:
        raise StatementInvalidError(
            f"{file} is {header}, and {environment_file} is {name}'s", metadata={"field": "environment"}
        )
    beside = signatures_file(file)
    lines = read_file(beside, what="the document's signatures") if beside.exists() else b""
    judgement = (signers or DocumentSigners(0, {}, {})).judge(header, lines)
    emit(settings, _answer(judgement), lambda page: _print_judgement(page, judgement))
    judgement.require()


def _open_key(settings: Settings, key: Path | None) -> SigningKey:
    from carnet.cli.reauthentication import asker  # noqa: PLC0415  as above
    from carnet.signing.key_reference import KeyReference  # noqa: PLC0415  as above

    if key is not None:
        return KeyReference(file=key).open(asker())
    return settings.federation().identity(settings.identity).signing_key(asker())


def _add(path: Path, header: DocumentHeader, line: bytes, signer: SigningKey) -> int:
    """Put a line behind those of other keys about the same bytes; returns how many there are then.

    The file is replaced as a whole, since a registry may read it at any moment.
    """
    from carnet.documents import read_file  # noqa: PLC0415  as above
    from carnet.signing.document import split_lines  # noqa: PLC0415  as above

    before = read_file(path, what="the document's signatures") if path.exists() else b""
    lines = [each for _, each in split_lines(before) if _stays(each, header, signer)] + [line]
    making = path.with_name(path.name + ".making")
    try:
        making.write_bytes(b"".join(each + b"\n" for each in lines))
        os.replace(making, path)  # noqa: PTH105  atomic over the file that is there
    except OSError as error:
        raise FileUnreadableError(f"{path} cannot be written: {error.strerror or error}") from error
    return len(lines)


def _stays(line: bytes, header: DocumentHeader, signer: SigningKey) -> bool:
    from carnet.signing.dsse import parse_envelope  # noqa: PLC0415  as above
    from carnet.signing.statement import parse_statement  # noqa: PLC0415  as above

    try:
        envelope = parse_envelope(line.strip())
        same = parse_statement(envelope).subject_digest == header.digest
    except IntegrityError:
        return False
    return same and all(each.keyid != signer.key_id for each in envelope.signatures)


def _shown(header: DocumentHeader) -> dict[str, Any]:
    return {
        "environment": header.environment,
        "document": f"{header.kind}.yaml",
        "version": header.version,
        "digest": header.digest,
    }


def _answer(judgement: Judgement) -> dict[str, Any]:
    return {
        "document": asdict(judgement.document),
        "wanted": judgement.wanted,
        "suffices": judgement.suffices,
        "signed": [
            {
                "person": each.person,
                "key_id": each.key_id,
                "signed_at": each.signed_at,
                "authentication": each.authentication,
            }
            for each in judgement.signed
        ],
        "problems": judgement.problems,
    }


def _print_judgement(page: Console, judgement: Judgement) -> None:
    print_fields(page, _shown(judgement.document).items())
    if judgement.signed:
        rows = [(each.person, when(each.signed_at), each.authentication) for each in judgement.signed]
        print_table(page, ("signed by", "at", "authenticated"), rows)
    for problem in judgement.problems:
        page.print(printable(problem))
    if not judgement.wanted:
        page.print("this environment demands no signatures")
    elif judgement.suffices:
        page.print(f"signed by enough people: {len(judgement.signed)}, {judgement.wanted} are wanted")
