"""The feature schema of a version, ready for checking data.

Responsible for the step from a reference to a validator: the version is resolved and verified as always, and
its manifest's feature schema is compiled. Fetches no file of the bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from carnet.client.models import Models
from carnet.errors import PreconditionFailedError
from carnet.features.validator import Validator

if TYPE_CHECKING:
    from carnet.references import Reference


class FeatureSchemas(Models):
    """Operations on feature schemas."""

    async def feature_schema(
        self,
        reference: str | Reference,
        *,
        side: Literal["inputs", "outputs"] = "inputs",
        allow_extra: bool = False,
    ) -> Validator:
        """Return what checks data against a version's feature schema.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``, as it points now.
            side: What the data is: ``inputs``, what callers send, or ``outputs``, what they get.
            allow_extra: Whether columns that the schema does not name are left alone.

        Returns:
            The validator; keep it, it asks the registry nothing more.

        Raises:
            NotFoundError: There is no such version or alias.
            IntegrityError: What the registry answers is not what was signed or logged.
            PreconditionFailedError: The version's manifest has no feature on that side.
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.feature_schema("dev/risk/fraud@1").validate({"amount": -1.0}).violations[0].kind
            'below_minimum'
        """
        manifest = (await self.resolve(reference)).manifest
        validator = Validator(manifest.feature_schema, side=side, allow_extra=allow_extra)
        if not validator.features:
            raise PreconditionFailedError(
                f"{manifest.subject_name} has no {side} in its feature schema, so nothing can be checked: "
                "push a version whose carnet.yaml has them",
                metadata={"field": f"feature_schema.{side}"},
            )
        return validator
