"""``carnet identity``: make, list and revoke the identities of a federation whose files are here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, get_args

import click

from carnet.cli.output import emit, print_table
from carnet.cli.reauthentication import new_passphrase
from carnet.cli.settings import Group, Settings, pass_settings
from carnet_server.access.bindings import Role
from carnet_server.access.trust_document import Purpose
from carnet_server.identity.households import trust_file
from carnet_server.identity.key_commands import authority, uses
from carnet_server.identity.listing import Listed, list_identities
from carnet_server.identity.making import Wish, make_identity
from carnet_server.identity.revoking import revoke_identity

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_DAYS = 90
_GRANTED = tuple(role for role in get_args(Role) if role != "promoter")
_TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")


@click.group(cls=Group)
def identity() -> None:
    """Make, list and revoke identities: people and services with a certificate of the federation's authority.

    What an identity may do is no part of it: that stands in the trust.yaml of each environment.

    Example:
      carnet identity ls
    """


@identity.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["person", "service"]),
    default="service",
    show_default=True,
    help="What it is.",
)
@click.option("--person", default="", help="The person that its acts are counted as; for a person, itself.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(_GRANTED),
    help="A role for the lines that are printed.",
)
@click.option("--namespace", "namespaces", multiple=True, help="Where it has them; else everywhere.")
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice(get_args(Purpose)),
    help="What its signatures are to be believed for; makes a signing key.",
)
@click.option(
    "--passphrase",
    "encrypts",
    is_flag=True,
    help="Encrypt its signing key; the passphrase is asked for twice (or CARNET_KEY_PASSPHRASE_FILE has it).",
)
@click.option(
    "--opaque",
    is_flag=True,
    help="Give it a random SPIFFE id, and count it as a random person: logs keep both, and no name.",
)
@click.option("--environment", default="", help="The environment whose trust.yaml the lines are for.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=DEFAULT_DAYS,
    show_default=True,
    help="How long it is valid.",
)
@pass_settings
def create(  # noqa: PLR0917  click names them
    settings: Settings,
    name: str,
    kind: str,
    person: str,
    roles: tuple[str, ...],
    namespaces: tuple[str, ...],
    purposes: tuple[str, ...],
    encrypts: bool,
    opaque: bool,
    environment: str,
    days: int,
) -> None:
    """Make a key and a certificate, and print the lines that an administrator pastes into trust.yaml.

    The identity is named in federation.yaml, so that --as NAME finds it. No trust.yaml is changed: the new
    identity may do nothing until the lines stand there.

    Examples:
      carnet identity create nightly --role publisher --namespace risk --purpose bundle --environment dev
      carnet identity create erin --kind person --role approver --purpose approval --passphrase
      carnet identity create erin --kind person --role approver --purpose approval --opaque
    """
    if encrypts and not purposes:
        raise click.UsageError("--passphrase is for a signing key: say what it is for with --purpose")
    folder = settings.federation().directory
    target = str(trust_file(folder, environment).path) if environment else "trust.yaml"
    wish = Wish(
        name,
        kind,
        person,
        roles,
        namespaces,
        purposes,
        timedelta(days=days),
        new_passphrase(f"{name}'s signing key") if encrypts else None,
        opaque,
    )
    made = make_identity(folder, wish)
    answer = {
        "name": made.name,
        "folder": made.folder,
        "subject": made.certificate.subject,
        "valid_until": made.certificate.valid_until,
        "serial": made.certificate.serial,
        "fingerprint": made.certificate.fingerprint,
        "trust_file": target,
        "trust_lines": made.trust_lines,
    }

    def show(page: Console) -> None:
        page.print(f"Made {made.certificate.subject}, valid until {_day(made.certificate.valid_until)} UTC.")
        page.print(f"Its files are in {made.folder}; federation.yaml names it {made.name!r}.")
        if made.trust_lines:
            page.print(
                f"It may do nothing yet. Add to {target}, and raise its version:\n\n{made.trust_lines}"
            )
        else:
            page.print(f"It may do nothing yet: give it roles in {target}.")

    emit(settings, answer, show)


@identity.command("ls")
@pass_settings
def list_them(settings: Settings) -> None:
    """List the identities: subject, end of validity, and roles in each environment of this machine.

    Example:
      carnet identity ls -o json
    """
    found = list_identities(settings.federation().directory)
    emit(
        settings,
        {"identities": [_as_answer(each) for each in found]},
        lambda page: print_table(
            page,
            ("identity", "subject", "valid until", "signs", "roles", "state"),
            (
                (
                    each.name,
                    each.certificate.subject if each.certificate else "",
                    _day(each.certificate.valid_until) if each.certificate else "",
                    "yes" if each.signs else "",
                    "; ".join(f"{place}: {', '.join(held)}" for place, held in each.roles.items()),
                    _state(each),
                )
                for each in found
            ),
        ),
    )


@identity.command()
@click.argument("who", metavar="[IDENTITY|SUBJECT]", required=False, default="")
@click.option("--key", default="", metavar="KEY_ID", help="Revoke this signing key alone, and no identity.")
@click.option("--reason", required=True, help="Why, for people; it stands in trust.yaml.")
@click.option(
    "--since",
    type=click.DateTime(_TIMES),
    default=None,
    help="Since when it is to be taken as somebody else's, UTC; else now.",
)
@click.option("--environment", "environments", multiple=True, help="Where; else in every environment here.")
@click.option("--certificate-only", is_flag=True, help="Revoke its present certificate, and not its subject.")
@pass_settings
def revoke(  # noqa: PLR0917  click names them
    settings: Settings,
    who: str,
    key: str,
    reason: str,
    since: datetime | None,
    environments: tuple[str, ...],
    certificate_only: bool,
) -> None:
    """Add an identity or a key to `revoked` in trust.yaml, and raise the document's version.

    A registry that runs takes the document within seconds, where signatures are demanded once people have
    signed it; connections that are open are refused too.
    Nothing that a revoked subject's keys signed is believed any more, whenever it was signed. With --key only
    that key is believed no more, and its subject goes on with another.

    Examples:
      carnet identity revoke nightly --reason "the runner was broken into" --since 2026-01-31T08:00Z
      carnet identity revoke ci --certificate-only --environment prod --reason "key left the vault"
      carnet identity revoke --key KEY_ID --since 2026-01-31T08:00Z --reason "the laptop was stolen"
    """
    if bool(who) == bool(key) or (key and certificate_only):
        raise click.UsageError("Name either an identity or a subject, or a signing key with --key.")
    compromised = (since or datetime.now(UTC)).replace(tzinfo=UTC, microsecond=0)
    done = revoke_identity(
        settings.federation().directory,
        who,
        key=key,
        since=compromised,
        reason=reason,
        environments=environments,
        certificate_only=certificate_only,
    )
    answer = {
        "revoked": done.entry,
        "environments": [
            {
                "name": name,
                "trust_version": version,
                "signatures_needed": done.unsigned[name].signatures if name in done.unsigned else 0,
            }
            for name, version in done.documents.items()
        ],
    }

    def show(page: Console) -> None:
        for name, version in done.documents.items():
            page.print(f"{who or key} is revoked in {name}: trust.yaml is version {version} now.")
        for name, file in done.unsigned.items():
            people = "a person has" if file.signatures == 1 else f"{file.signatures} different people have"
            page.print(
                f"{name} takes it only once {people} signed it, with: "
                f"carnet document sign {file.path} --environment {name} --as NAME",
                soft_wrap=True,
            )
        page.print("What it touched, as an auditor sees it:")
        for name in done.documents:
            page.print(f"  carnet identity uses {who or key} --environment {name}", soft_wrap=True)

    emit(settings, answer, show)


identity.add_command(uses)
identity.add_command(authority)


def _as_answer(each: Listed) -> dict[str, object]:
    facts = each.certificate
    return {
        "name": each.name,
        "subject": facts.subject if facts else None,
        "valid_until": facts.valid_until if facts else None,
        "serial": facts.serial if facts else None,
        "fingerprint": facts.fingerprint if facts else None,
        "signs": each.signs,
        "expired": each.expired,
        "roles": each.roles,
        "revoked_in": each.revoked_in,
        "problem": each.problem,
    }


def _state(each: Listed) -> str:
    if each.problem:
        return "unreadable"
    parts = ["expired"] if each.expired else []
    parts += [f"revoked in {', '.join(each.revoked_in)}"] if each.revoked_in else []
    return "; ".join(parts)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
