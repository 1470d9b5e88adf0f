"""The one table of reports: which derivation makes which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.audit.reports.at import At
from carnet.audit.reports.changes import Changes
from carnet.audit.reports.dossier import PromotionDossier
from carnet.audit.reports.drift import Drift
from carnet.audit.reports.duties import Duties
from carnet.audit.reports.exceptions import Exceptions
from carnet.audit.reports.governance import Governance
from carnet.audit.reports.health import Health
from carnet.audit.reports.inventory import Inventory
from carnet.audit.reports.live import Live
from carnet.audit.reports.query import ReportKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.reports.derivation import Derivation

DERIVATIONS: Final[Mapping[ReportKind, type[Derivation]]] = {
    ReportKind.DOSSIER: PromotionDossier,
    ReportKind.CHANGES: Changes,
    ReportKind.DUTIES: Duties,
    ReportKind.LIVE: Live,
    ReportKind.AT: At,
    ReportKind.EXCEPTIONS: Exceptions,
    ReportKind.GOVERNANCE: Governance,
    ReportKind.DRIFT: Drift,
    ReportKind.INVENTORY: Inventory,
    ReportKind.HEALTH: Health,
}
