"""The trust document: what it says, what contradicts itself, and where the error is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from carnet.errors import DocumentInvalidError, FileUnreadableError
from carnet.signing.keys import SigningKey
from carnet.translog.keys import LogKey
from carnet_server.access.trust import TrustStore, load_trust

DOMAIN = "spiffe://carnet.test"
CI = f"{DOMAIN}/service/ci"
BOB = f"{DOMAIN}/person/bob"
PROD = f"{DOMAIN}/registry/prod"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
KEY = SigningKey.generate().verification_key
OTHER = SigningKey.generate().verification_key
PEER_KEY = SigningKey.generate().verification_key
SPARE = SigningKey.generate().verification_key
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOG_KEY = LogKey.generate("carnet.test/prod").verifier.vkey


def document(**fields):
    return {
        "schema": "carnet.trust/v1",
        "environment": "staging",
        "version": 4,
        "people": [{"name": "alice", "subjects": [CI]}, {"name": "bob", "subjects": [BOB]}],
        "keys": [
            {"subject": CI, "pem": KEY.pem, "purposes": ["bundle", "request"], "namespaces": ["risk"]},
            {
                "subject": BOB,
                "pem": OTHER.pem,
                "purposes": ["approval"],
                "evidence": [{"role": "evaluator", "type": TEST_RESULT}],
            },
        ],
        "peers": [peer()],
        "roles": [
            {"subject": CI, "roles": ["publisher"], "namespaces": ["risk"]},
            {"subject": CI, "roles": ["reader"]},
            {"subject": BOB, "roles": ["approver"], "namespaces": ["risk", "growth"]},
        ],
    } | fields


def peer(**fields):
    return {
        "environment": "prod",
        "subject": PROD,
        "endpoint": "127.0.0.1:7403",
        "server_name": "prod.carnet.test",
        "signing_keys": [PEER_KEY.pem],
        "log_key": LOG_KEY,
    } | fields


def load(**fields):
    return load_trust(yaml.safe_dump(document(**fields)).encode(), environment="staging")


def test_keys_are_found_by_id_and_by_purpose():
    trust = load()
    ring = trust.ring(NOW)
    assert trust.key(KEY.key_id).subject == CI
    assert trust.key("0" * 64) is None
    assert set(ring.for_purposes("bundle")) == set(ring.for_purposes("request")) == {KEY.key_id}
    assert set(ring.for_purposes("approval")) == {OTHER.key_id}
    assert set(ring.for_evidence(TEST_RESULT, "risk")) == {OTHER.key_id}
    assert ring.for_purposes("cancellation") == {}
    assert set(ring.everybody) == {KEY.key_id, OTHER.key_id, PEER_KEY.key_id}


def test_a_key_is_believed_in_its_namespaces_and_for_its_predicates():
    trust = load()
    first, second = trust.key(KEY.key_id), trust.key(OTHER.key_id)
    assert (first.covers("risk"), first.covers("growth"), second.covers("growth")) == (True, False, True)
    assert second.evidence_roles(TEST_RESULT) == {"evaluator"}
    assert (
        second.evidence_roles("https://slsa.dev/provenance/v1") == first.evidence_roles(TEST_RESULT) == set()
    )


def test_people_stand_behind_subjects():
    trust = load()
    assert (trust.person_of(CI), trust.person_of(BOB), trust.person_of(PROD)) == ("alice", "bob", None)
    assert trust.key(KEY.key_id).person == "alice"


def test_roles_hold_where_they_are_bound():
    trust = load()
    assert trust.roles(CI, "risk") == {"publisher", "reader"}
    assert trust.roles(CI, "growth") == {"reader"}
    assert trust.roles(CI, None) == {"publisher", "reader"}
    assert trust.roles(BOB, "other") == set()
    assert trust.roles(f"{DOMAIN}/person/mallory", None) == set()
    assert trust.roles(PROD, "risk") == {"peer"}
    assert trust.acting_roles(CI, "risk") == {"publisher", "reader"}
    assert trust.acting_roles(PROD, "risk") == {"peer"}
    assert (trust.roles_everywhere(CI), trust.roles_everywhere(BOB)) == ({"reader"}, set())


def test_peers_are_found_by_name_and_by_subject():
    trust = load()
    assert trust.peer("prod").subject == PROD
    assert set(trust.peer("prod").signing_keys) == {PEER_KEY.key_id}
    assert trust.peer_by_subject(PROD) is trust.peer("prod")
    assert trust.peer("dev") is trust.peer_by_subject(CI) is None


def test_the_document_in_force_is_known_by_its_bytes():
    data = yaml.safe_dump(document()).encode()
    trust = load_trust(data, environment="staging")
    assert (trust.version, trust.data) == (4, data)
    assert load_trust(data + b"# a comment\n", environment="staging").digest != trust.digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"environment": "prod"}, "environment: is 'prod', must be 'staging'"),
        ({"schema": "carnet.trust/v2"}, "schema: "),
        ({"version": 0}, "version: "),
        ({"version": "4"}, "version: "),
        ({"rolls": []}, "rolls: unknown field; did you mean 'roles'?"),
        (
            {"people": [{"name": "alice", "subjects": [CI]}, {"name": "bob", "subjects": [CI]}]},
            f"people[1]: {CI} is alice's already",
        ),
        ({"people": [{"name": "alice", "subjects": []}]}, "people[0]: subjects or claims"),
        ({"people": [{"name": "Alice", "subjects": [CI]}]}, "people[0].name: "),
        ({"people": [{"name": "alice", "subjects": ["alice"]}]}, "people[0].subjects[0]: "),
        ({"keys": [{"subject": CI, "pem": "no key"}]}, "keys[0].pem: "),
        (
            {"keys": [{"subject": CI, "pem": KEY.pem}, {"subject": BOB, "pem": KEY.pem}]},
            f"keys[1]: the key of {CI} once more",
        ),
        (
            {"keys": [{"subject": CI, "pem": KEY.pem, "purposes": ["everything"]}]},
            "keys[0].purposes[0]: ",
        ),
        ({"keys": [{"subject": "ci", "pem": KEY.pem}]}, "keys[0].subject: "),
        ({"keys": [{"subject": f"{CI}\n", "pem": KEY.pem}]}, "keys[0].subject: "),
        ({"roles": [{"subject": CI, "roles": ["root"]}]}, "roles[0].roles[0]: "),
        ({"roles": [{"subject": CI, "roles": ["peer"]}]}, "roles[0].roles[0]: "),
        ({"roles": [{"subject": CI, "roles": []}]}, "roles[0].roles: "),
        (
            {"roles": [{"subject": CI, "roles": ["reader"], "namespaces": ["*sk"]}]},
            "roles[0].namespaces[0]: ",
        ),
        ({"peers": [peer(), peer()]}, "peers[1]: 'prod' twice, or itself"),
        ({"peers": [peer(environment="staging")]}, "peers[0]: 'staging' twice, or itself"),
        ({"peers": [peer(signing_keys=[])]}, "peers[0].signing_keys: "),
        ({"peers": [peer(signing_keys=["no key"])]}, "peers[0]: "),
        ({"peers": [peer(log_key="carnet.test/prod+00000000+AAAA")]}, "peers[0]: "),
        ({"peers": [peer(endpoint="prod")]}, "peers[0].endpoint: "),
    ],
)
def test_a_document_that_breaks_its_schema_or_contradicts_itself_is_refused(fields, message):
    with pytest.raises(DocumentInvalidError) as refused:
        load(**fields)
    assert refused.value.message.startswith("trust.yaml")
    assert message in refused.value.message


def test_the_store_reads_its_file(tmp_path):
    path = tmp_path / "trust.yaml"
    with pytest.raises(FileUnreadableError, match="the trust document"):
        TrustStore.load(path, environment="staging")
    path.write_text(yaml.safe_dump(document()))
    assert TrustStore.load(path, environment="staging").current.version == 4
    with pytest.raises(DocumentInvalidError, match="must be 'prod'"):
        TrustStore.load(path, environment="prod")


REVOKED = {"subject": CI, "since": "2026-01-02T03:04:05Z", "reason": "left"}


def test_a_revoked_subject_has_no_role_and_its_keys_are_believed_for_nothing():
    trust = load(revoked=[REVOKED])
    assert trust.roles(CI, None) == trust.acting_roles(CI, "risk") == trust.roles_everywhere(CI) == set()
    assert trust.ring(NOW).for_purposes("bundle", "request") == {}
    assert trust.key(KEY.key_id).subject == CI
    assert trust.acting_roles(BOB, "risk") == {"approver"}
    assert trust.person_of(CI) == "alice"


def test_a_revoked_peer_is_unknown():
    trust = load(revoked=[REVOKED | {"subject": PROD}])
    assert trust.peer("prod") is trust.peer_by_subject(PROD) is None
    assert PEER_KEY.key_id not in trust.ring(NOW).everybody
    assert trust.roles(PROD, None) == set()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"subject": None}, "exactly one"),
        ({"serial": "ab"}, "exactly one"),
        ({"since": "2026-01-02T03:04:05"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"reason": ""}, "reason"),
        ({"subject": None, "fingerprint": "ab"}, "fingerprint"),
        ({"subject": "everybody"}, "subject"),
    ],
)
def test_a_revocation_that_is_not_one_is_refused(change, where):
    entry = {key: value for key, value in (REVOKED | change).items() if value is not None}
    with pytest.raises(DocumentInvalidError, match=where):
        load(revoked=[entry])


def test_a_revoked_key_is_believed_for_nothing_and_its_subject_signs_on_with_another():
    keys = [*document()["keys"], {"subject": CI, "pem": SPARE.pem, "purposes": ["bundle"]}]
    trust = load(keys=keys, revoked=[{"key": KEY.key_id, "since": NOW, "reason": "left the vault"}])
    assert set(trust.ring(NOW).for_purposes("bundle")) == {SPARE.key_id}
    assert "compromised since 2026-03-01 12:00 UTC" in trust.ring(NOW).key(KEY.key_id).unbelieved
    assert "publisher" in trust.acting_roles(CI, "risk")


def test_a_revoked_key_of_a_peer_is_not_the_peers_any_more():
    trust = load(
        peers=[peer(signing_keys=[PEER_KEY.pem, SPARE.pem])],
        revoked=[{"key": PEER_KEY.key_id, "since": NOW, "reason": "left the vault"}],
    )
    assert set(trust.peer("prod").signing_keys) == {SPARE.key_id}


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("at", "believed"), [(-HOUR, True), (timedelta(seconds=-1), True), (timedelta(0), False), (HOUR, False)]
)
def test_a_key_is_believed_up_to_its_end_for_what_arrived_before_it(at, believed):
    keys = [document()["keys"][0] | {"valid_until": NOW}, document()["keys"][1]]
    ring = load(keys=keys).ring(NOW + at)
    assert (KEY.key_id in ring.for_purposes("bundle")) is believed
    assert ring.key(KEY.key_id).subject == CI
    if not believed:
        assert ring.key(KEY.key_id).unbelieved == f"the key of {CI} was believed until 2026-03-01 12:00 UTC"


def test_two_keys_overlap_while_one_takes_over_from_the_other():
    old, new = (
        document()["keys"][0] | {"valid_until": NOW + HOUR},
        {
            "subject": CI,
            "pem": SPARE.pem,
            "purposes": ["bundle"],
            "valid_from": NOW,
        },
    )
    trust = load(keys=[old, new])

    def believed(at):
        return set(trust.ring(at).for_purposes("bundle"))

    assert believed(NOW - HOUR) == {KEY.key_id}
    assert believed(NOW) == {KEY.key_id, SPARE.key_id}
    assert believed(NOW + HOUR) == {SPARE.key_id}


def test_a_peer_is_one_for_its_namespaces_and_for_its_time():
    assert load(peers=[peer(namespaces=["risk"])]).peer("prod", "risk").environment == "prod"
    assert load(peers=[peer(namespaces=["risk"])]).peer("prod", "growth") is None
    ended = load(peers=[peer(valid_until=NOW)])
    assert ended.peer("prod") is ended.peer_by_subject(PROD) is None
    assert ended.roles(PROD, None) == set()
    assert PEER_KEY.key_id in ended.ring(NOW - HOUR).everybody
    assert PEER_KEY.key_id not in ended.ring(NOW).everybody


def test_what_begins_after_its_end_is_refused():
    keys = [document()["keys"][0] | {"valid_from": NOW, "valid_until": NOW - HOUR}]
    with pytest.raises(DocumentInvalidError, match=r"keys\[0\].*valid_from is not before valid_until"):
        load(keys=keys)
