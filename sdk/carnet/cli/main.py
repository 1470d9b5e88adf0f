"""The entry point: runs a command, and turns whatever happens into an exit code.

Responsible for the last line of every failure: ``error: …`` on stderr, with ``-o json`` an object on stdout
too, and never a traceback unless ``--verbose`` asks for one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.application import build
from carnet.cli.exit_codes import ExitCode, exit_code_of
from carnet.cli.settings import Settings
from carnet.errors import CarnetError, InternalError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind ``carnet``; None for the process's own.

    Returns:
        The exit code.
    """
    # Programs that are started as another user are forked, which gRPC's handlers for that can break.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    given = list(sys.argv[1:] if arguments is None else arguments)
    settings = Settings(
        output="json" if _wants_json(given) else "text",
        verbose="--verbose" in given,
    )
    try:
        return _run(given, settings)
    except BrokenPipeError:
        # Whoever read our output has gone; so do we, without a second failure at shutdown.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.INTERNAL
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except CarnetError as error:
        return _failed(error, settings)
    except Exception as error:  # noqa: BLE001  the last line: nobody sees a traceback who did not ask for one
        return _failed(_defect(error), settings, error)


def _run(arguments: list[str], settings: Settings) -> int:
    try:
        # Out of standalone mode, click returns what `context.exit` was given, or the command's result.
        outcome = build().main(args=arguments, prog_name="carnet", standalone_mode=False, obj=settings)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        raise _usage_error(error) from error
    return int(outcome) if isinstance(outcome, int) else ExitCode.DONE


def _failed(error: CarnetError, settings: Settings, cause: BaseException | None = None) -> int:
    if settings.verbose:
        traceback.print_exception(cause or error, file=sys.stderr)
    click.echo(f"error: {_printable(error.message)}", err=True)
    if settings.json:
        body: dict[str, Any] = {
            "error": error.message,
            "reason": error.reason,
            "metadata": error.metadata,
        }
        click.echo(json.dumps(body, ensure_ascii=False, sort_keys=True))
    return exit_code_of(error)


def _usage_error(error: click.ClickException) -> InvalidInputError:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is not None:
        message = f"{message}\n{context.get_usage()}\nTry '{context.command_path} --help'."
    return InvalidInputError(message)


def _defect(error: Exception) -> InternalError:
    return InternalError(
        f"internal: {type(error).__name__}: {error}; this is a defect: --verbose shows where it happened"
    )


def _printable(text: str) -> str:
    return "".join(
        each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def _wants_json(arguments: list[str]) -> bool:
    """Tell whether JSON is asked for, even where the command line cannot be understood otherwise."""
    following = dict(itertools.pairwise(arguments))
    spelled = {"-ojson", "-o=json", "--output=json"}
    return not spelled.isdisjoint(arguments) or any(
        each in {"-o", "--output"} and following.get(each) == "json" for each in arguments
    )


if __name__ == "__main__":
    sys.exit(main())
