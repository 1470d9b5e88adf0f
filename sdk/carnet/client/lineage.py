"""Asking where a version came from, and what came from a dataset or a commit.

Responsible for the two operations, and for who signed a promotion's request. The walks are in
``carnet.client.lineage_back`` and ``carnet.client.lineage_forward``; what comes out is a value of
``carnet.lineage.graph``, which has its forms for people and tools in that package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.client.aliases import Aliases
from carnet.client.approvals import Approvals
from carnet.client.lineage_back import BackWalk
from carnet.client.lineage_forward import ForwardWalk
from carnet.client.models import reference_to
from carnet.client.search import Search
from carnet.errors import InvalidInputError, KeyUntrustedError, StatementInvalidError
from carnet.filtering.parser import parse_filter
from carnet.lineage.origins import commit_origin, dataset_origin
from carnet.registry.v1 import admission_pb2
from carnet.signing.dsse import parse_envelope, signers_of, verify_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement

if TYPE_CHECKING:
    from carnet.client.results import Admission
    from carnet.lineage.graph import LineageGraph
    from carnet.references import Reference

DEFAULT_DEPTH: Final = 5
MAX_DEPTH: Final = 20


class Lineage(Approvals, Aliases, Search):
    """Operations on lineage."""

    async def lineage(self, reference: str | Reference, *, depth: int = DEFAULT_DEPTH) -> LineageGraph:
        """Walk back from an alias or a version to all that it came from.

        That is: the alias's last move; the version, its bundle and the decision that let it in; the promotion
        that brought it, with its approvals; the version at each earlier environment, back to its home; the
        evidence that each of them holds; what the manifest states of code, data, features and run; and the
        parents, each with all of that again.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@ALIAS`` or ``@VERSION``.
            depth: How many levels of parents are followed, 0 to 20.

        Returns:
            The graph. Each node says whether it was verified, and by what; what could not be read is a node
            that says why, and what contradicts what was signed or logged is ``graph.contradicted``.

        Raises:
            NotFoundError: There is no such version or alias.
            IntegrityError: What the reference itself resolves to is not what was signed or logged.
            InvalidInputError: The depth is none.
            CarnetError: The call failed; the class says how.

        Example:
            >>> graph = client.lineage("dev/risk/fraud@1")
            >>> graph.root, [node.kind for node in graph.of_kind("bundle")]
            ('version:dev/risk/fraud@1', ['bundle'])
        """
        wanted = reference_to(reference, want="version")
        return await BackWalk(self, self._request_signer, depth=_checked_depth(depth)).walk(wanted)

    async def reach(
        self, *, dataset: str = "", commit: str = "", environment: str = "", depth: int = DEFAULT_DEPTH
    ) -> LineageGraph:
        """Walk forward from a dataset or a commit to every version that states it, and what came of those.

        Args:
            dataset: ``NAME`` or ``NAME@DIGEST``; or else
            commit: 7 to 64 hexadecimal digits.
            environment: The environment to ask; empty for all of the federation.
            depth: How many levels of descendants, which name a version as their parent, are followed: 0 to
                20.

        Returns:
            The graph: bundles, the versions that hold them, the aliases that point at those, and descendants.
            Each was resolved and verified; an environment that could not be asked is a node that says why.

        Raises:
            InvalidInputError: Not exactly one of dataset and commit is given, or one is malformed.
            NotFoundError: The federation has no such environment.
            CertificateExpiredError: This identity's certificate has ended.

        Example:
            >>> graph = client.reach(dataset="payments", environment="dev")
            >>> [node.label for node in graph.of_kind("version")]
            ['dev/risk/fraud@1']
        """
        if bool(dataset) == bool(commit):
            raise InvalidInputError(
                "either a dataset or a commit is wanted, and not both", metadata={"field": "dataset"}
            )
        origin = dataset_origin(dataset) if dataset else commit_origin(commit)
        parse_filter(origin.query)
        environments = (
            (self.federation.environment(environment).name,) if environment else self.federation.environments
        )
        return await ForwardWalk(self, environments, depth=_checked_depth(depth)).walk(origin)

    async def _request_signer(self, shown: Admission) -> str:
        """Return who signed a promotion's request, by the pinned key; empty for one that is not pinned.

        Raises:
            SignatureInvalidError: A pinned key's signature does not verify.
            StatementInvalidError: It is another request than the admission is about.
        """
        registry = self._registry(shown.target)
        answer: admission_pb2.GetAdmissionResponse = await registry.call(
            registry.admission.GetAdmission,
            admission_pb2.GetAdmissionRequest(name=f"admissions/{shown.promotion}"),
        )
        if not answer.admission.request:
            return ""
        envelope = parse_envelope(answer.admission.request)
        try:
            keys, certified = signers_of(
                envelope, self.federation.statement_keys(), self.federation.authorities
            )
            key_id = verify_envelope(envelope, keys)
        except KeyUntrustedError:
            return ""
        statement = parse_statement(envelope)
        said = PromotionRequest.parse(statement)
        wanted = (shown.promotion, shown.source, shown.target, shown.reference.version, shown.bundle_digest)
        if (said.promotion, said.source, said.target, said.version, statement.subject_digest) != wanted:
            raise StatementInvalidError(
                f"the request that {shown.target} shows for the promotion {shown.promotion} asks for another"
            )
        return self.federation.statement_signer(key_id, certified.get(key_id))


def _checked_depth(depth: int) -> int:
    if not 0 <= depth <= MAX_DEPTH:
        raise InvalidInputError(
            f"depth: {depth} is not between 0 and {MAX_DEPTH}", metadata={"field": "depth"}
        )
    return depth
