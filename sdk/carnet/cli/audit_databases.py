"""Live databases beside their logs, for ``carnet audit verify --database``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from carnet.cli.contributed import load_audit_check
from carnet.translog.checkpoint import unverified_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.report import AuditReport
    from carnet.client.progress import Progress


def parse_database(text: str) -> tuple[str, str]:
    """Read ``ENV=URL``.

    Raises:
        UsageError: It is not of that form.
    """
    environment, separator, url = text.partition("=")
    if not (environment and separator and url):
        raise click.UsageError(f"--database {text!r}: ENV=URL is wanted, such as prod=sqlite:///registry.db")
    return environment, url


def with_databases(report: AuditReport, databases: Mapping[str, str], progress: Progress) -> AuditReport:
    """Return a report with what is found of live databases.

    Args:
        report: The report of the logs; a log that does not verify judges no tables.
        databases: The URL of each environment's database.
        progress: Is called with what is read, how far it is, and how much there is.

    Raises:
        UsageError: No log of an environment was verified.
        CarnetError: A database cannot be read, or the check is not installed.
    """
    findings = list(report.findings)
    for environment, url in databases.items():
        summary = report.environments.get(environment)
        if summary is None:
            raise click.UsageError(f"--database {environment}=…: no log of {environment!r} was verified")
        check = load_audit_check("tables")
        checkpoint = unverified_checkpoint(summary.checkpoint)
        findings += check(environment, url, checkpoint, partial(progress, f"{environment}'s database"))
    return replace(report, findings=tuple(findings))
