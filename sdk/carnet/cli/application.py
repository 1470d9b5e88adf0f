"""The root of the command line: which commands there are.

Responsible for listing commands by what they are for, and for importing a command's module only when that
command is run, so that ``carnet --help`` is quick and a command needs only its own packages.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import click

from carnet.cli.contributed import contributed_help, load_contributed
from carnet.cli.settings import Command, Group, Settings, global_options
from carnet.version import __version__

# Section -> command -> (where it is, what help's list says).
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Versions": {
        "push": ("carnet.cli.push:push", "Publish a folder as the next version of a model."),
        "import": ("carnet.cli.importing:import_versions", "Publish the versions of another registry."),
        "pull": ("carnet.cli.pull:pull", "Fetch a version into a new directory, verified."),
        "verify": ("carnet.cli.verify:verify", "Verify a bundle on this disk or in a registry."),
        "ls": ("carnet.cli.browse:ls", "List models, or a model's versions."),
        "search": ("carnet.cli.search:search", "Find versions by labels, metrics, lineage and age."),
        "show": ("carnet.cli.browse:show", "Show a model or a version."),
        "compare": ("carnet.cli.compare:compare", "Compare two versions."),
        "lineage": ("carnet.cli.lineage:lineage", "Show what a version came from, or what data reached."),
        "validate": ("carnet.cli.validate:validate", "Check data against a feature schema."),
        "schema": ("carnet.cli.schema:schema", "Propose feature schemas, and compare them and data by them."),
        "stage": ("carnet.cli.stages:stage_command", "Move a version to a stage by hand."),
        "archive": ("carnet.cli.stages:archive", "Archive a version, or all that are out of use."),
        "revoke": ("carnet.cli.revoke:revoke", "Withdraw a version for good."),
        "hold": ("carnet.cli.hold:hold", "Hold versions or models, so that nothing of them is purged."),
        "purge": ("carnet.cli.purge:purge", "Take the files of archived versions away."),
    },
    "Evidence": {
        "attest": ("carnet.cli.evidence:attest", "Sign evidence about a version."),
        "evidence": ("carnet.cli.evidence:evidence", "List the evidence about a version."),
    },
    "Promotion": {
        "promote": ("carnet.cli.promote:promote", "Bring a version into another environment."),
        "promotions": ("carnet.cli.promotions:promotions", "List, show, watch, cancel or retry promotions."),
        "approve": ("carnet.cli.approvals:approve", "Sign an approval of a promotion."),
        "reject": ("carnet.cli.approvals:reject", "Sign a rejection of a promotion."),
        "break-glass": ("carnet.cli.break_glass:break_glass", "Skip rules in an emergency, and review it."),
        "withdraw": ("carnet.cli.approvals:withdraw", "Take back what you said of a promotion."),
    },
    "Aliases": {
        "alias": ("carnet.cli.aliases:alias", "Set, list, show, watch or remove aliases."),
        "rollback": ("carnet.cli.rollback:rollback", "Move an alias back to the last good version."),
        "rollout": ("carnet.cli.rollouts:rollout", "Try a challenger beside a champion, under guardrails."),
    },
    "Environments": {
        "environments": ("carnet.cli.environments:environments", "Show the environments and your roles."),
        "audit": ("carnet.cli.audit:audit", "Verify the logs, export them, and report from them."),
        "hygiene": ("carnet.cli.hygiene:hygiene", "Tell what looks neglected, and what is stored."),
        "document": ("carnet.cli.documents:document", "Sign policy and trust documents, and verify them."),
    },
}
CONTRIBUTED_SECTION = "On this machine"


class Application(click.Group):
    """The root group; it imports a command when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of all commands, section by section."""
        own = [name for section in SECTIONS.values() for name in section]
        return [*own, *contributed_help()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; a contributed one from its package."""
        for section in SECTIONS.values():
            if cmd_name in section:
                module, _, attribute = section[cmd_name][0].partition(":")
                command: click.Command = getattr(importlib.import_module(module), attribute)
                return command
        return load_contributed(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which one was meant."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0] if args else "", self.list_commands(ctx), n=1)
            hint = f" Did you mean '{close[0]}'?" if close else " See `carnet --help`."
            raise click.UsageError(f"there is no command '{args[0]}'.{hint}", ctx) from error
        if command is not None and not isinstance(command, Command | Group):
            rest = [*_handed_down(command, ctx.ensure_object(Settings)), *rest]
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by what they are for, importing none."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()])
        with formatter.section(CONTRIBUTED_SECTION):
            formatter.write_dl(list(contributed_help().items()))


def _handed_down(command: click.Command, settings: Settings) -> list[str]:
    """Return the global options that a contributed command has as its own, as if they stood behind it."""
    given = {"--dir": settings.directory, "--as": settings.identity, "--output": settings.output}
    known = {name for parameter in command.params for name in parameter.opts}
    return [
        part
        for name, value in given.items()
        if value and name in known and value != Settings.output
        for part in (name, value)
    ]


@click.pass_context
def _begin(context: click.Context) -> None:
    context.ensure_object(Settings)


def build() -> Application:
    """Return the whole command line."""
    settings: dict[str, Any] = {
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
        "no_args_is_help": True,
    }
    root = Application(
        "carnet",
        help=(
            "Model registries per environment, and signed, gated, audited promotion between them.\n\n"
            "A reference is ENV/NAMESPACE/MODEL, with @VERSION or @ALIAS where one version is meant: "
            "prod/risk/fraud@champion. The options below are taken behind a command too."
        ),
        epilog=(
            "Exit codes: 0 done, 1 internal, 2 usage or malformed input, 3 not found, 4 not allowed, "
            "5 a gate said no or still waits, 6 integrity, 7 conflict, 8 unavailable."
        ),
        params=[*global_options(hidden=False)],
        callback=_begin,
        **settings,
    )
    return click.version_option(__version__, prog_name="carnet", message="%(prog)s %(version)s")(root)
