"""The stock ``model_signing`` command accepts what we sign, and refuses what was changed."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from carnet.bundle.directory import verify_directory
from carnet.bundle.files import hash_file
from carnet.errors import StatementInvalidError
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model, verify_model_signature
from tests.support.bundles import make_signed_directory
from tests.support.job_certificates import JobAuthority

COMMAND = Path(sysconfig.get_path("scripts")) / "model_signing"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.generate()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def stock_verify(folder: Path, key: SigningKey, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    public_key = tmp_path / "key.pub"
    public_key.write_text(key.verification_key.pem)
    return run("verify", "key", folder, "--signature", folder / "model.sig", "--public_key", public_key)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_stock_command_accepts_what_we_write(curve: str, tmp_path: Path) -> None:
    key = SigningKey.generate(curve)
    folder = make_signed_directory(tmp_path, key, files=4)

    result = stock_verify(folder, key, tmp_path)

    assert result.returncode == 0, result.stderr
    assert verify_directory(folder, {key.key_id: key.verification_key}).key_id == key.key_id


def test_stock_command_accepts_a_one_time_certificate_and_its_authority_alone(tmp_path: Path) -> None:
    authority, other = JobAuthority(), JobAuthority()
    folder = make_signed_directory(tmp_path, authority.signer(), files=4)

    def verify(chain: JobAuthority) -> subprocess.CompletedProcess[str]:
        pem = tmp_path / "authority.pem"
        pem.write_text(chain.pem)
        return run(
            "verify", "certificate", folder, "--signature", folder / "model.sig", "--certificate_chain", pem
        )

    accepted = verify(authority)
    assert accepted.returncode == 0, accepted.stderr
    assert verify(other).returncode != 0
    (folder / "model.bin").write_bytes(b"other")
    assert verify(authority).returncode != 0


def test_stock_command_accepts_paths_whose_order_depends_on_the_rule(key: SigningKey, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "a").mkdir(parents=True)
    files = [("a/b", "d1"), ("a-b", "d2"), ("a.b", "d3")]
    for path, text in files:
        (folder / path).write_text(text)
    signature = sign_model("bundle", [(path, hash_file(folder, path)[1]) for path, _ in files], key)
    (folder / "model.sig").write_bytes(signature)

    assert stock_verify(folder, key, tmp_path).returncode == 0


def edit_file(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"other")


def edit_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"risk-team", b"rust-team"))


def add_file(folder: Path) -> None:
    (folder / "evil.py").write_text("print('run')")


def remove_file(folder: Path) -> None:
    (folder / "parts" / "1.bin").unlink()


def swap_files(folder: Path) -> None:
    first, second = folder / "model.bin", folder / "parts" / "1.bin"
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)


@pytest.mark.parametrize("tamper", [edit_file, edit_manifest, add_file, remove_file, swap_files])
def test_stock_command_refuses_a_changed_folder(tamper, key: SigningKey, tmp_path: Path) -> None:
    folder = make_signed_directory(tmp_path, key)
    tamper(folder)

    assert stock_verify(folder, key, tmp_path).returncode != 0


def test_stock_command_refuses_another_key(key: SigningKey, tmp_path: Path) -> None:
    folder = make_signed_directory(tmp_path, key)

    assert stock_verify(folder, SigningKey.generate(), tmp_path).returncode != 0


def stock_sign(folder: Path, key: SigningKey, tmp_path: Path, *options: str) -> bytes:
    private_key = tmp_path / "key"
    key.save(private_key)
    signature = folder / "model.sig"
    result = run("sign", "key", folder, "--private_key", private_key, "--signature", signature, *options)
    assert result.returncode == 0, result.stderr
    return signature.read_bytes()


def make_plain_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b").write_text("1")
    (folder / "a-b").write_text("2")
    return folder


def test_we_verify_what_the_stock_command_signs(key: SigningKey, tmp_path: Path) -> None:
    data = stock_sign(make_plain_folder(tmp_path), key, tmp_path, "--no-ignore-git-paths")

    signature = verify_model_signature(data, {key.key_id: key.verification_key})

    assert [path for path, _ in signature.resources] == ["a/b", "a-b"]


def test_we_refuse_a_stock_signature_that_ignores_more_than_itself(key: SigningKey, tmp_path: Path) -> None:
    data = stock_sign(make_plain_folder(tmp_path), key, tmp_path)

    with pytest.raises(StatementInvalidError, match="ignore_paths"):
        verify_model_signature(data, {key.key_id: key.verification_key})
