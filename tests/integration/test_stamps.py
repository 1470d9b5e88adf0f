"""The stamps of a bundle: pulled from a federation that is then stopped, verified, and damaged in every way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import carnet
from carnet.bundle.manifest import parse_manifest
from carnet.canonical import sha256_hex
from carnet.client.federation import Federation
from carnet.client.folders import PinnedKeys, verify_bundle_folder
from carnet.errors import FileUnreadableError, IntegrityError, KeyUntrustedError, StatementInvalidError
from carnet.signing.keys import SigningKey
from carnet.signing.stamp_list import StampList
from carnet.stamps.folder import INDEX_NAME, LIST_NAME, make_index, read_folder
from carnet.stamps.stamp import read_statement
from tests.support.federation import LocalFederation
from tests.support.forks import run_program


@dataclass
class Lived:
    """A federation that did something, and stands still now; with what was pulled from it."""

    federation: LocalFederation
    folder: Path
    promotions: dict[str, str]

    @property
    def keys(self) -> PinnedKeys:
        return PinnedKeys.of_federation(Federation.load(self.federation.folder))

    def stamps(self, name: str) -> Path:
        return self.folder / f"{name}.carnet"

    def copy(self, tmp_path: Path, name: str = "champion") -> Path:
        """A copy of a bundle and its stamps."""
        for each in (name, f"{name}.carnet"):
            shutil.copytree(self.folder / each, tmp_path / each)
        return tmp_path / name

    def verify(self, path: Path, **options):
        return verify_bundle_folder(path, self.keys, **options)

    def key(self, environment: str) -> SigningKey:
        return SigningKey.load(self.federation.folder / "environments" / environment / "signing-key.pem")


def pull_pinning_prod_alone(federation: LocalFederation, folder: Path) -> None:
    """Pull as a host would that knows prod and no other environment."""
    known = folder / "known"
    known.mkdir()
    for name in ("ca", "identities"):
        shutil.copytree(federation.folder / name, known / name)
    document = yaml.safe_load((federation.folder / "federation.yaml").read_text())
    document["environments"] = {"prod": document["environments"]["prod"]}
    (known / "federation.yaml").write_text(yaml.safe_dump(document))
    with carnet.connect(known, identity="ci") as host:
        first = host.pull("prod/risk/fraud@champion", folder / "partial")
        again = host.pull("prod/risk/fraud@champion", folder / "partial")
    assert (first.already_there, again.already_there) == (False, True)
    assert first.stamps is None
    assert "'dev' is not pinned" in first.stamps_problem


def promote_to_prod(federation: LocalFederation, version: str, alias: str) -> str:
    with federation.client("ci") as ci:
        promotion = ci.promote(version, "prod", alias=alias).id
        assert federation.wait_for_dossier(ci, promotion).state == "AWAITING"
    federation.approve(promotion, "bob", "carol")
    with federation.client("ci") as ci:
        assert ci.wait(promotion, timeout=60).state == "SUCCEEDED"
    return promotion


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Lived:
    """dev → staging → prod, and later for another alias once more; pulled in every way; then all is stopped."""
    federation = LocalFederation(tmp_path_factory.mktemp("federation") / "carnet")
    folder = tmp_path_factory.mktemp("pulled")
    federation.start()
    try:
        first = federation.publish(tmp_path_factory.mktemp("bundle"), seed=1)
        to_staging = federation.to_staging(first, alias="champion")
        federation.test_integration("staging/risk/fraud@1")
        federation.smoke_test("staging/risk/fraud@1")
        promotions = {
            "staging": to_staging.id,
            "prod": promote_to_prod(federation, "staging/risk/fraud@1", ""),
            "champion": promote_to_prod(federation, "staging/risk/fraud@1", "champion"),
        }
        second = federation.publish(tmp_path_factory.mktemp("bundle"), seed=2)
        assert federation.to_staging(second).state == "SUCCEEDED"
        with federation.client("ci") as ci:
            for reference, name in (
                ("prod/risk/fraud@champion", "champion"),
                ("prod/risk/fraud@1", "number"),
                ("staging/risk/fraud@1", "staging"),
                ("dev/risk/fraud@1", "home"),
                ("staging/risk/fraud@2", "second"),
            ):
                pulled = ci.pull(reference, folder / name)
                assert (pulled.stamps_problem, pulled.stamps_path) == ("", folder / f"{name}.carnet")
        pull_pinning_prod_alone(federation, folder)
        with federation.client("dave") as operator:
            operator.revoke("dev/risk/fraud@2", "bad data")
        with federation.client("ci") as ci:
            ci.pull("dev/risk/fraud@2", folder / "revoked")
    finally:
        federation.stop()
    return Lived(federation, folder, promotions)


def test_the_whole_way_is_told_with_no_server(lived):
    answer = lived.federation.cli_json("verify", str(lived.folder / "champion"), "--require", "prod")
    stamps = answer["stamps"]
    assert [(each["environment"], each["arrival"]) for each in stamps["stops"]] == [
        ("dev", "published"),
        ("staging", "admitted"),
        ("prod", "admitted"),
    ]
    home, staging, prod = stamps["stops"]
    assert (home["promotion"], staging["promotion"], prod["promotion"]) == (
        "",
        lived.promotions["staging"],
        lived.promotions["prod"],
    )
    assert (staging["approved_by"], sorted(prod["approved_by"])) == ([], ["bob", "carol"])
    assert {each["policy_digest"] for each in stamps["stops"]} == {
        sha256_hex((lived.federation.folder / "environments" / name / "policy.yaml").read_bytes())
        for name in ("dev", "staging", "prod")
    }
    assert stamps["alias"]["name"] == "champion"
    assert stamps["alias"]["promotion"] == lived.promotions["champion"]
    assert sorted(stamps["alias"]["approved_by"]) == ["bob", "carol"]
    assert (stamps["unknown_evidence"], stamps["revoked"]) == (0, False)
    page = lived.federation.cli("verify", str(lived.folder / "champion")).stdout
    for told in ("last admitted to prod", "approved by bob, carol", "cannot be seen offline", "as of"):
        assert told in page


def test_what_a_host_pulled_that_pins_prod_alone_is_whole_and_verifies_where_all_are_pinned(lived):
    assert lived.verify(lived.folder / "partial", require="prod").stamps.environment == "prod"
    known = PinnedKeys.of_federation(Federation.load(lived.folder / "known"))
    with pytest.raises(KeyUntrustedError, match="'dev' is not pinned"):
        verify_bundle_folder(lived.folder / "partial", known)
    left = [each.name for each in lived.folder.iterdir() if each.name.startswith(".")]
    assert left == []


@pytest.mark.parametrize(
    ("name", "way"),
    [("number", ["dev", "staging", "prod"]), ("staging", ["dev", "staging"]), ("home", ["dev"])],
)
def test_a_shorter_way_is_whole_too(lived, name, way):
    stamps = lived.verify(lived.folder / name).stamps
    assert [stop.environment for stop in stamps.stops] == way
    assert (stamps.environment, stamps.alias) == (way[-1], None)


def test_where_a_bundle_did_not_come_through_is_refused(lived):
    assert (
        "its way is dev → staging"
        in lived.federation.cli("verify", str(lived.folder / "staging"), "--require", "prod", check=6).stderr
    )


def test_pins_in_a_file_are_enough(lived, tmp_path):
    pins = tmp_path / "pins.yaml"
    shutil.copy(lived.federation.folder / "federation.yaml", pins)
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path), "CARNET_DIR": str(tmp_path / "none")}
    asked = ("verify", str(lived.folder / "champion"), "--require", "prod", "--trust", str(pins))
    done = run_program("carnet", *asked, environment=environment)
    assert done.returncode == 0, done.stderr
    pins.write_text(pins.read_text().replace("\n  staging:", "\n  other:"))
    done = run_program("carnet", *asked, environment=environment)
    assert done.returncode == 6
    assert "'staging' is not pinned" in done.stderr


def test_each_receipt_verifies_alone(lived):
    files = sorted((lived.stamps("champion") / "receipts").iterdir())
    told = [lived.federation.cli_json("verify", str(file)) for file in files[:3]]
    assert {each["environment"] for each in told} <= {"dev", "staging", "prod"}
    assert all(each["log_index"] < each["tree_size"] for each in told)
    assert all(each["entry"]["environment"] == each["environment"] for each in told)
    page = lived.federation.cli("verify", str(files[0])).stdout
    assert "'s log, at its size" in page


def test_a_receipt_that_is_damaged_or_of_an_unknown_log_is_refused(lived, tmp_path):
    file = min((lived.stamps("champion") / "receipts").iterdir())
    damaged = tmp_path / file.name
    for text in (file.read_text() + "\n", file.read_text().replace("index ", "index 1"), "", "\xff"):
        damaged.write_text(text)
        lived.federation.cli("verify", str(damaged), check=6)
    pins = tmp_path / "pins.yaml"
    pins.write_text("environments: {}\n")
    lived.federation.cli("verify", str(file), "--trust", str(pins), check=6)


def test_the_stock_tool_accepts_the_directory_beside_its_stamps(lived, tmp_path):
    path = lived.folder / "champion"
    signer = lived.verify(path).signer
    federation = Federation.load(lived.federation.folder)
    (pem,) = [key.pem for key_id, key in federation.keys.items() if str(federation.signers[key_id]) == signer]
    public = tmp_path / "publisher.pem"
    public.write_text(pem)
    command = Path(sysconfig.get_path("scripts")) / "model_signing"
    asked = ["verify", "key", path, "--signature", path / "model.sig", "--public_key", public]
    done = subprocess.run([command, *asked], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_was_revoked_when_it_was_pulled_does_not_verify(lived):
    with pytest.raises(StatementInvalidError, match="dev had revoked the version"):
        lived.verify(lived.folder / "revoked")


# --- damage ---------------------------------------------------------------------------------------------


def _flipped(data: bytes, place: float) -> bytes:
    index = int(place * (len(data) - 1))
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


MUTATIONS = {
    "emptied": lambda data: b"",
    "truncated by a byte": lambda data: data[:-1],
    "halved": lambda data: data[: len(data) // 2],
    "trailing newline": lambda data: data + b"\n",
    "trailing bytes": lambda data: data + data[:7],
    "doubled": lambda data: data * 2,
    "leading space": lambda data: b" " + data,
    **{
        f"a bit flipped at {place}": lambda data, place=place: _flipped(data, place)
        for place in (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)
    },
}


def files_of(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_no_stamp_can_be_changed(lived, tmp_path, mutate):
    path = lived.copy(tmp_path)
    stamps = tmp_path / "champion.carnet"
    for name in files_of(stamps):
        data = (stamps / name).read_bytes()
        (stamps / name).write_bytes(mutate(data))
        with pytest.raises(IntegrityError):
            lived.verify(path)
        (stamps / name).write_bytes(data)
    lived.verify(path)


def test_no_stamp_can_be_removed_renamed_doubled_or_swapped(lived, tmp_path):
    path = lived.copy(tmp_path)
    stamps, other = tmp_path / "champion.carnet", lived.stamps("second")
    foreign = {name: (other / name).read_bytes() for name in files_of(other)}
    for name in files_of(stamps):
        file, data = stamps / name, (stamps / name).read_bytes()
        file.unlink()
        with pytest.raises(IntegrityError, match="is missing"):
            lived.verify(path)
        aside = file.with_name("x" + file.name)
        aside.write_bytes(data)
        with pytest.raises(IntegrityError, match="missing"):
            lived.verify(path)
        file.write_bytes(data)
        with pytest.raises(IntegrityError, match="superfluous"):
            lived.verify(path)
        aside.unlink()
        for strange in foreign.values():
            if strange != data:
                file.write_bytes(strange)
                with pytest.raises(IntegrityError):
                    lived.verify(path)
        file.unlink()
        file.symlink_to(lived.stamps("champion") / name)
        with pytest.raises(IntegrityError, match="symlink"):
            lived.verify(path)
        file.unlink()
        file.write_bytes(data)
    for name in set(foreign) - set(files_of(stamps)):
        (stamps / name).write_bytes(foreign[name])
        with pytest.raises(IntegrityError, match="superfluous"):
            lived.verify(path)
        (stamps / name).unlink()
    lived.verify(path)


@pytest.mark.parametrize("foreign", ["second", "home", "staging", "number"])
def test_the_stamps_of_something_else_are_refused_or_say_what_they_are(lived, tmp_path, foreign):
    path = lived.copy(tmp_path)
    shutil.rmtree(tmp_path / "champion.carnet")
    shutil.copytree(lived.stamps(foreign), tmp_path / "champion.carnet")
    if foreign == "number":
        assert lived.verify(path, require="prod").stamps.alias is None
        return
    with pytest.raises(IntegrityError):
        lived.verify(path, require="prod")


def relist(stamps: Path, key: SigningKey, change) -> None:
    """Sign the list anew after a change, as an environment that cheats would, and make the folder fit it."""
    read = read_folder(stamps)
    listed = StampList.parse(read.list.statement)
    documents = dict(read.documents)
    listed = change(listed, documents)
    signed = read_statement(
        listed.sign(read.list.statement.subject_name, read.list.statement.subject_digest, key).to_bytes()
    )
    (stamps / LIST_NAME).write_bytes(signed.data)
    kept = {*listed.evidence, *listed.receipts, *listed.statements}
    for file in stamps.glob("*/*"):
        if file.name.split(".")[0] not in kept:
            file.unlink()
    (stamps / INDEX_NAME).write_bytes(make_index(signed, listed, documents))


def without(digest: str):
    def change(listed, documents):
        parts = {
            name: tuple(each for each in getattr(listed, name) if each != digest)
            for name in ("evidence", "receipts", "statements")
        }
        return listed.model_copy(update=parts)

    return change


def test_not_even_the_environment_can_leave_out_what_the_way_rests_on(lived, tmp_path):
    """Whoever has prod's key lists fewer stamps: the way does not close without them."""
    read = read_folder(lived.stamps("champion"))
    listed = StampList.parse(read.list.statement)
    key = lived.key("prod")
    for digest in (*listed.receipts, *listed.statements):
        folder = tmp_path / digest[:16]
        folder.mkdir()
        path = lived.copy(folder)
        relist(folder / "champion.carnet", key, without(digest))
        with pytest.raises(IntegrityError, match="missing"):
            lived.verify(path)
    refused = 0
    for digest in listed.evidence:
        folder = tmp_path / digest[:16]
        folder.mkdir()
        path = lived.copy(folder)
        relist(folder / "champion.carnet", key, without(digest))
        try:
            lived.verify(path)
        except IntegrityError:
            refused += 1
    # All that the sources hold and all that was decided on; not what prod alone added afterwards.
    own = [each for each in read.documents.values() if each.digest in listed.evidence]
    assert refused >= len(own) - 1


def test_a_list_by_another_environment_or_for_another_signature_is_refused(lived, tmp_path):
    same = lambda listed, documents: listed  # noqa: E731
    for number, (key, change, error) in enumerate(
        (
            (lived.key("dev"), same, KeyUntrustedError),
            (
                lived.key("prod"),
                lambda one, _: one.model_copy(update={"signature": "0" * 64}),
                StatementInvalidError,
            ),
            (lived.key("prod"), lambda one, _: one.model_copy(update={"log_size": 1}), StatementInvalidError),
            (
                lived.key("prod"),
                lambda one, _: one.model_copy(update={"log_origin": "x"}),
                StatementInvalidError,
            ),
            (lived.key("prod"), lambda one, _: one.model_copy(update={"alias": "other"}), IntegrityError),
            (
                lived.key("prod"),
                lambda one, _: one.model_copy(update={"revoked": True}),
                StatementInvalidError,
            ),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = lived.copy(folder)
        relist(folder / "champion.carnet", key, change)
        with pytest.raises(error):
            lived.verify(path)


def test_without_the_folder_there_are_no_stamps_and_a_required_environment_is_refused(lived, tmp_path):
    path = lived.copy(tmp_path)
    shutil.rmtree(tmp_path / "champion.carnet")
    assert "no stamps" in lived.federation.cli("verify", str(path)).stdout
    lived.federation.cli("verify", str(path), "--require", "prod", check=6)
    with pytest.raises(FileUnreadableError):
        lived.verify(path, stamps=tmp_path / "champion.carnet")
    assert lived.verify(path, stamps=lived.stamps("champion")).stamps is not None


def test_the_index_tells_what_each_file_is(lived):
    stamps = lived.stamps("champion")
    index = json.loads((stamps / INDEX_NAME).read_text())
    assert {each["path"] for each in index["files"]} == set(files_of(stamps)) - {LIST_NAME, INDEX_NAME}
    manifest = parse_manifest((lived.folder / "champion" / "manifest.json").read_bytes())
    assert (index["subject"], index["bundle_digest"]) == (manifest.subject_name, manifest.digest)
