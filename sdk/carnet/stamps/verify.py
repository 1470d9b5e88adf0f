"""Judging a bundle's stamps by pinned keys, with no network.

Responsible for every signature and every receipt on a way, and for what they mean together: that each
statement is about this bundle, promotion and pair of environments, that decisions said yes, and that those
who approved were others than those who published and asked. Reads no files, and asks nobody.

Invariant: what is not signed by a pinned key is an error, and never a pass; only evidence by unknown signers
is let be, since an environment keeps such evidence too and counts it for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.errors import KeyUntrustedError, LogTamperedError, StatementInvalidError
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass
from carnet.signing.decision import Decision, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import Envelope, signers_of, verify_envelope
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.stamp_list import StampList
from carnet.stamps.report import VerifiedAlias, VerifiedStamps, VerifiedStop
from carnet.stamps.stamp import ReceiptStamp, StatementStamp
from carnet.stamps.way import read_way
from carnet.translog.receipt import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.audit.pins import EnvironmentPins, Pins
    from carnet.bundle.manifest import Manifest
    from carnet.stamps.way import Leg, Stop


def verify_list(data: StatementStamp, manifest: Manifest, pins: Pins) -> StampList:
    """Verify the list of a bundle's stamps: signed by the environment that it names, about this bundle.

    Args:
        data: The list's envelope.
        manifest: The bundle's manifest.
        pins: The pinned keys.

    Raises:
        KeyUntrustedError: The environment is not pinned, or did not sign it.
        SignatureInvalidError: Its signature does not verify.
        StatementInvalidError: It is about another bundle, or not in the one form.
    """
    listed = StampList.parse(data.statement)
    environment = _environment(pins, listed.environment)
    verify_envelope(data.envelope, environment.keys)
    plain = Envelope(data.envelope.payload, data.envelope.payload_type, data.envelope.signatures)
    if len(plain.signatures) != 1 or plain.to_bytes() != data.data:
        raise StatementInvalidError(
            "the list of stamps is altered: it is canonical JSON with the environment's signature alone"
        )
    _same(
        "the list of stamps",
        {"subject": (data.statement.subject_name, data.statement.subject_digest)}
        | {"namespace": listed.namespace, "log_origin": listed.log_origin},
        {"subject": (manifest.subject_name, manifest.digest)}
        | {"namespace": manifest.namespace, "log_origin": environment.log_verifier.name},
    )
    return listed


def verify_stamps(
    manifest: Manifest,
    listed: StampList,
    documents: Mapping[str, StatementStamp | ReceiptStamp],
    pins: Pins,
) -> VerifiedStamps:
    """Verify all stamps of a bundle.

    Args:
        manifest: The bundle's manifest, verified.
        listed: The list of the stamps, verified.
        documents: The stamps and the evidence, by digest; those that are listed, and no others.
        pins: The pinned keys.

    Returns:
        What they say.

    Raises:
        IntegrityError: A stamp is missing, altered, of something else, superfluous, or by nobody who is
            pinned; the message names it.
    """
    way = read_way(
        manifest,
        listed.environment,
        documents,
        stamps=(*listed.statements, *listed.receipts),
        evidence=listed.evidence,
        alias=listed.alias,
    )
    judge = _Judge(manifest, pins)
    stops = tuple(judge.stop(stop) for stop in way.stops)
    newest = [way.stops[-1].arrival]
    alias = None
    if way.alias is not None:
        approved = judge.leg(way.alias_leg).approved_by if way.alias_leg else ()
        alias = judge.alias(way.alias, listed, approved)
        newest.append(way.alias)
    if way.alias_leg is not None:
        _same(
            "the promotion that moved the alias", {"alias": way.alias_leg.said.alias}, {"alias": listed.alias}
        )
        # That promotion has a way of its own to the source, made when it was promoted.
        for stop in way.alias_leg.before:
            judge.stop(stop)
    if any(each.receipt.index >= listed.log_size for each in newest):
        raise StatementInvalidError("the list of stamps is older than what it lists: its log size is too low")
    evidence = [documents[digest] for digest in listed.evidence]
    return VerifiedStamps(
        environment=listed.environment,
        stops=stops,
        alias=alias,
        receipt_count=len(listed.receipts),
        statement_count=len(listed.statements),
        evidence_count=len(evidence),
        unknown_evidence=sum(not judge.knows_evidence(each) for each in evidence),
        revoked=listed.revoked,
        as_of_size=listed.log_size,
        as_of=listed.issued_at,
    )


class _Judge:
    """Judges the parts of one way."""

    def __init__(self, manifest: Manifest, pins: Pins) -> None:
        self._manifest = manifest
        self._pins = pins
        self._subject = {
            "namespace": manifest.namespace,
            "model": manifest.model,
            "version": manifest.version,
            "bundle_digest": manifest.digest,
        }

    def stop(self, stop: Stop) -> VerifiedStop:
        """Verify an environment on the way, and how the bundle got there."""
        self._receipt(stop.arrival, stop.environment, {})
        if stop.leg is None:
            return self._home(stop)
        promotion = {"promotion": stop.leg.promotion}
        self._receipt(stop.arrival, stop.environment, promotion)
        return self._told(self.leg(stop.leg), stop)

    def _home(self, stop: Stop) -> VerifiedStop:
        policy, digest = "", ""
        if stop.decision is not None:
            said = self._decision(stop.decision, stop.environment, promotion="")
            policy, digest = said.policy.digest.sha256, stop.decision.digest
        return VerifiedStop(
            environment=stop.environment,
            arrival="published",
            log_index=stop.arrival.receipt.index,
            arrived_at=stop.arrival.entry.time,
            policy_digest=policy,
            decision_digest=digest,
        )

    def _told(self, leg: VerifiedStop, stop: Stop) -> VerifiedStop:
        return VerifiedStop(
            environment=stop.environment,
            arrival="admitted",
            log_index=stop.arrival.receipt.index,
            arrived_at=stop.arrival.entry.time,
            promotion=leg.promotion,
            policy_digest=leg.policy_digest,
            requested_by=leg.requested_by,
            approved_by=leg.approved_by,
            broken_by=leg.broken_by,
            skipped=leg.skipped,
            decision_digest=leg.decision_digest,
        )

    def leg(self, leg: Leg) -> VerifiedStop:
        """Verify one promotion: all that was signed for it, and that it hangs together."""
        said = self._decision(leg.decision, leg.environment, promotion=leg.promotion)
        self._receipt(leg.receipt, leg.environment, {"promotion": leg.promotion})
        if leg.receipt.entry.new != "PASSED":
            raise LogTamperedError(f"{leg.environment}'s log says {leg.receipt.entry.new} of what it decided")
        source = leg.release.environment
        asked = {"promotion": leg.promotion, "source": source, "target": leg.environment}
        requested_by = self._request(leg, asked | {"alias": said.alias, "by_rollout": said.by_rollout})
        self._release(leg)
        dossiers = [self._dossier(each, leg, asked) for each in leg.inputs["dossier"]]
        approvals = [self._spoken(each, Approval, asked) for each in leg.inputs["approval"]]
        broken = [self._spoken(each, BreakGlass, asked) for each in leg.inputs["break-glass"]]
        shown = leg.inputs["dossier"][0].digest if leg.inputs["dossier"] else ""
        for _, word in (*approvals, *broken):
            _check_word(word, said, shown)
        if any(word.meaning != "approved" for _, word in approvals):
            raise StatementInvalidError(f"{leg.environment} counted as an approval what is none")
        people = self._independent([person for person, _ in approvals], dossiers, requested_by)
        breakers = self._independent([person for person, _ in broken], dossiers, requested_by)
        if said.skipped and not breakers:
            raise StatementInvalidError(f"{leg.environment} skipped rules, and nobody broke the glass for it")
        return VerifiedStop(
            environment=leg.environment,
            arrival="admitted",
            log_index=leg.receipt.receipt.index,
            arrived_at=leg.receipt.entry.time,
            promotion=leg.promotion,
            policy_digest=said.policy.digest.sha256,
            requested_by=requested_by,
            approved_by=people,
            broken_by=breakers,
            skipped=said.skipped,
            decision_digest=leg.decision.digest,
        )

    def alias(self, moved: ReceiptStamp, listed: StampList, approved_by: tuple[str, ...]) -> VerifiedAlias:
        """Verify that the alias was moved to this bundle."""
        self._receipt(moved, listed.environment, {"alias": listed.alias})
        if moved.entry.new != str(listed.version):
            raise LogTamperedError(f"{listed.environment}'s log says that {listed.alias} went elsewhere")
        return VerifiedAlias(
            name=listed.alias,
            log_index=moved.receipt.index,
            moved_at=moved.entry.time,
            promotion=str(moved.entry.subject.get("promotion", "")),
            approved_by=approved_by,
        )

    def knows_evidence(self, stamp: StatementStamp | ReceiptStamp) -> bool:
        """Whether evidence is by somebody who is pinned; a pinned signer's bad signature is an error."""
        if isinstance(stamp, ReceiptStamp):
            raise StatementInvalidError(f"stamp {stamp.digest} is listed as evidence, and is a receipt")
        try:
            self._signer(stamp, self._pins.all_keys)
        except KeyUntrustedError:
            return False
        return True

    # --- receipts and statements -------------------------------------------------------------------------

    def _receipt(self, stamp: ReceiptStamp, environment: str, about: Mapping[str, str]) -> None:
        entry = verify_receipt(stamp.receipt, _environment(self._pins, environment).log_verifier)
        wanted = {"environment": environment, **self._subject, **about}
        stated = {"environment": entry.environment} | {
            key: entry.subject.get(key) for key in wanted if key != "environment"
        }
        _same(f"the receipt {stamp.digest}", stated, wanted)

    def _decision(self, stamp: StatementStamp, environment: str, *, promotion: str) -> Decision:
        verify_envelope(stamp.envelope, _environment(self._pins, environment).keys)
        said = Decision.parse(stamp.statement)
        manifest = self._manifest
        uri = version_uri(environment, manifest.namespace, manifest.model, manifest.version)
        _same(
            f"{environment}'s decision {stamp.digest}",
            {"by": said.environment, "promotion": said.promotion, "about": said.resource_uri}
            | {"result": said.verification_result},
            {"by": environment, "promotion": promotion, "about": uri, "result": "PASSED"},
        )
        return said

    def _request(self, leg: Leg, asked: Mapping[str, object]) -> str:
        stamp = leg.inputs["promotion-request"][0]
        self._check_subject(stamp)
        signer = self._signer(stamp, self._pins.people_keys)
        self._of(f"the request {stamp.digest}", PromotionRequest.parse(stamp.statement), asked)
        return signer

    def _release(self, leg: Leg) -> None:
        stamp = leg.inputs["release"][0]
        release, source = leg.release, _environment(self._pins, leg.release.environment)
        self._check_subject(stamp)
        verify_envelope(stamp.envelope, source.keys)
        asked = {"promotion": leg.promotion, "target": leg.environment, "revoked": False}
        self._of(f"the release {stamp.digest}", release, asked)
        if any(stop.arrival.receipt.index >= release.log_size for stop in leg.before[-1:]):
            raise StatementInvalidError(
                f"the release {stamp.digest} is older than the version's arrival there"
            )

    def _dossier(self, stamp: StatementStamp, leg: Leg, asked: Mapping[str, object]) -> Dossier:
        self._check_subject(stamp)
        verify_envelope(stamp.envelope, _environment(self._pins, leg.environment).keys)
        dossier = Dossier.parse(stamp.statement)
        wanted = {"policy_digest": leg.said.policy.digest.sha256, "alias": leg.said.alias}
        self._of(f"the dossier {stamp.digest}", dossier, {**asked, **wanted})
        return dossier

    def _spoken(
        self, stamp: StatementStamp, kind: type[Approval | BreakGlass], asked: Mapping[str, object]
    ) -> tuple[str, Any]:
        self._check_subject(stamp)
        key_id = verify_envelope(stamp.envelope, self._pins.people_keys)
        word = kind.parse(stamp.statement)
        self._of(f"the statement {stamp.digest}", word, asked)
        return self._pins.holder_of(key_id), word

    def _independent(
        self, people: list[str], dossiers: Iterable[Dossier], requested_by: str
    ) -> tuple[str, ...]:
        """Insist that those who spoke are different people, and none of them published or asked."""
        authors = {requested_by}
        for dossier in dossiers if people else ():
            for subject in (dossier.requester, dossier.publisher):
                person = self._pins.person_of_subject(subject)
                if person is None:
                    raise KeyUntrustedError(
                        f"independence cannot be judged: {subject} belongs to nobody who is pinned"
                    )
                authors.add(person)
        for person in people:
            if person in authors:
                raise StatementInvalidError(f"{person} approved what they published or asked for themselves")
        if len(set(people)) < len(people):
            raise StatementInvalidError("the same person is counted twice among those who approved")
        return tuple(people)

    def _signer(self, stamp: StatementStamp, keys: Mapping[str, Any]) -> str:
        """Return who signed, by a pinned key or a one-time certificate of a pinned authority."""
        trusted, certified = signers_of(stamp.envelope, keys, self._pins.authorities)
        key_id = verify_envelope(stamp.envelope, trusted)
        if key_id in certified:
            subject = certified[key_id].subject
            return self._pins.person_of_subject(subject) or subject
        return self._pins.holder_of(key_id)

    def _check_subject(self, stamp: StatementStamp) -> None:
        said = (stamp.statement.subject_name, stamp.statement.subject_digest)
        _same(
            f"stamp {stamp.digest}",
            {"subject": said},
            {"subject": (self._manifest.subject_name, self._manifest.digest)},
        )

    def _of(self, what: str, predicate: object, wanted: Mapping[str, object]) -> None:
        place = {key: value for key, value in self._subject.items() if hasattr(predicate, key)}
        wanted = {**place, **wanted}
        _same(what, {key: getattr(predicate, key) for key in wanted}, wanted)


def _check_word(word: Approval | BreakGlass, decision: Decision, dossier_digest: str) -> None:
    stated = {"dossier": word.dossier_digest, "policy": word.policy_digest}
    _same("a person's word", stated, {"dossier": dossier_digest, "policy": decision.policy.digest.sha256})
    if word.expires_at < decision.time_verified:
        raise StatementInvalidError("a person's word had expired when it was counted")


def _environment(pins: Pins, name: str) -> EnvironmentPins:
    found = pins.environments.get(name)
    if found is None:
        raise KeyUntrustedError(
            f"the environment {name!r} is not pinned, so nothing that it says can be verified: pin its keys"
        )
    return found


def _same(what: str, stated: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    for field, value in wanted.items():
        if stated[field] != value:
            raise StatementInvalidError(
                f"{what} says {stated[field]!r} for {field}, and {value!r} is what it must say",
                metadata={"field": field},
            )


def check_receipt_alone(stamp: ReceiptStamp, pins: Pins) -> str:
    """Verify a receipt by itself against the log that it says that it is of.

    Args:
        stamp: The receipt.
        pins: The pinned keys.

    Returns:
        The environment.

    Raises:
        KeyUntrustedError: The log is not pinned, or did not sign the checkpoint.
        ProofInvalidError: The proof does not hold.
        LogTamperedError: The entry is about another environment than the log's.
    """
    environment = _environment(pins, stamp.entry.environment)
    verify_receipt(stamp.receipt, environment.log_verifier)
    return environment.name
