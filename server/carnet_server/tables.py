"""Every table of a registry's database, for migrations."""

from __future__ import annotations

import carnet_server.admission.tables
import carnet_server.aliases.tables
import carnet_server.blobs.tables
import carnet_server.environment.tables
import carnet_server.evidence.tables
import carnet_server.log.tables
import carnet_server.models.tables
import carnet_server.release.tables
import carnet_server.retention.tables
import carnet_server.rollouts.tables
import carnet_server.search.tables
import carnet_server.witnessing.tables  # noqa: F401
