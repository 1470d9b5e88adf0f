"""Keys at a service, with the real boto3 against a small KMS."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from carnet import errors
from carnet.signing import service_key
from carnet.signing.dsse import PAYLOAD_TYPE, sign_payload, verify_envelope
from carnet.signing.keys import SigningKey, VerificationKey
from carnet.signing.passphrase import Passphrase
from carnet.signing.service_failures import describe_failure
from carnet.signing.service_key import SERVICES, ServiceKey
from tests.support.kms import FakeKms

URI = "awskms:alias/carnet"
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def kms(monkeypatch):
    kms = FakeKms()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials that it found first
    for name, value in kms.environment.items():
        monkeypatch.setenv(name, value)
    yield kms
    kms.stop()


@pytest.fixture
def public(kms):
    return VerificationKey.from_pem(kms.add("alias/carnet"))


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1])
@pytest.mark.parametrize("name", ["alias/carnet", ARN])
def test_a_signature_is_made_by_the_service_and_verifies(kms, curve, name):
    public = VerificationKey.from_pem(kms.add(name, curve=curve))
    key = ServiceKey.connect(f"awskms:{name}", public)
    envelope = sign_payload(b"{}", PAYLOAD_TYPE, key)
    assert verify_envelope(envelope, {public.key_id: public}) == key.key_id
    assert kms.asked == [("Sign", name)]
    assert (key.authentication, key.verification_key) == ("service", public)
    assert name in repr(key)


REFUSALS = {
    "AccessDeniedException": errors.PermissionDeniedError,
    "NotFoundException": errors.NotFoundError,
    "DisabledException": errors.PreconditionFailedError,
    "KMSInvalidStateException": errors.PreconditionFailedError,
    "UnrecognizedClientException": errors.UnauthenticatedError,
    "ExpiredTokenException": errors.UnauthenticatedError,
    "ThrottlingException": errors.ResourceExhaustedError,
    "KMSInternalException": errors.UnavailableError,
    "SomethingNewException": errors.UnavailableError,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_a_typed_error_that_names_the_key(kms, public, code):
    kms.refuse_with = code
    with pytest.raises(errors.CarnetError, match=rf"awskms:alias/carnet did not sign: {code}") as caught:
        ServiceKey.connect(URI, public).sign(b"data")
    assert type(caught.value) is REFUSALS[code]
    assert caught.value.metadata["code"] == code


def test_another_key_than_the_one_that_is_named_is_said_at_once(kms, public):
    kms.add("alias/carnet")
    with pytest.raises(errors.SignatureInvalidError, match="another key than the public key") as caught:
        ServiceKey.connect(URI, public).sign(b"data")
    assert caught.value.metadata["keyId"] == public.key_id


def test_a_service_that_is_away_is_unavailable(kms, public):
    key = ServiceKey.connect(URI, public)
    kms.stop()
    with pytest.raises(errors.UnavailableError, match="did not sign"):
        key.sign(b"data")
    kms.stop = lambda: None


def test_a_service_that_does_not_answer_is_given_up_in_time(kms, public, monkeypatch):
    monkeypatch.setitem(SERVICES, "awskms", replace(SERVICES["awskms"], calls=1))
    key = ServiceKey.connect(URI, public)
    key.sign(b"the first one takes longest")
    monkeypatch.setattr(key, "_service", replace(SERVICES["awskms"], timeout_seconds=0.3))
    kms.delay_seconds = 5.0
    begun = time.monotonic()
    with pytest.raises(errors.UnavailableError, match="no answer"):
        key.sign(b"data")
    with pytest.raises(errors.UnavailableError, match="1 calls are under way"):
        key.sign(b"data")
    assert time.monotonic() - begun < 3.0


def test_without_credentials_nobody_is_authenticated(kms, public, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(errors.UnauthenticatedError):
        ServiceKey.connect(URI, public).sign(b"data")


def test_without_a_region_the_configuration_is_what_is_wrong(kms, public, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(errors.InvalidInputError, match="region"):
        ServiceKey.connect(URI, public)


@pytest.mark.parametrize("uri", ["", "alias/carnet", "file2:/x", "awskms:", "gpg:1234", "AWSKMS:x", "awskms"])
def test_what_names_no_key_is_refused_with_what_does(uri):
    with pytest.raises(errors.InvalidInputError, match="awskms:…"):
        ServiceKey.connect(uri, SigningKey.generate().verification_key)


@pytest.mark.parametrize("scheme", SERVICES)
@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_a_curve_that_a_service_cannot_sign_on_rightly_is_refused_before_it_is_asked(scheme, curve):
    if curve in SERVICES[scheme].curves:
        return
    with pytest.raises(errors.InvalidInputError, match=f"{curve}: use one on P-256"):
        ServiceKey.connect(f"{scheme}:key", SigningKey.generate(curve).verification_key)


@pytest.mark.parametrize(
    ("uri", "extra"),
    [
        ("gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", "gcp"),
        ("azurekms://v.vault.azure.net/keys/k/1", "azure"),
        ("hv:carnet/1", "vault"),
    ],
)
def test_a_library_that_is_missing_is_named_by_its_extra(uri, extra, monkeypatch):
    for module in ("google.cloud.kms", "azure.identity", "hvac"):
        if module.split(".")[0] in sys.modules and module == "hvac":
            pytest.skip("hvac is installed")
    with pytest.raises(errors.PreconditionFailedError, match=rf"carnet\[{extra}\]"):
        ServiceKey.connect(uri, SigningKey.generate().verification_key)


def test_without_securesystemslib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    with pytest.raises(errors.PreconditionFailedError, match=r"pip install 'carnet\[aws\]'"):
        ServiceKey.connect(URI, SigningKey.generate().verification_key)


def test_an_hsm_wants_a_pin_which_is_handed_over_and_not_shown(monkeypatch):
    public = SigningKey.generate().verification_key
    with pytest.raises(errors.PreconditionFailedError, match="PIN"):
        ServiceKey.connect("hsm:", public)

    class Library:
        handed = None

        @staticmethod
        def SSlibKey(*_):  # noqa: N802  the library's name
            return None

        class Signer:
            @staticmethod
            def from_priv_key_uri(uri, key, ask):
                Library.handed = ask("pin")
                raise ValueError("No PKCS#11 token found")

    modules = {"securesystemslib.signer": Library}
    real = service_key.importlib.import_module
    monkeypatch.setattr(service_key.importlib, "import_module", lambda name: modules.get(name) or real(name))
    with pytest.raises(errors.InvalidInputError, match="No PKCS#11 token") as caught:
        ServiceKey.connect("hsm:2?label=Token", public, pin=Passphrase("123456"))
    assert Library.handed == "123456"
    assert "123456" not in str(caught.value)


def test_a_key_at_a_service_is_written_to_no_file(kms, public, tmp_path):
    key = ServiceKey.connect(URI, public)
    with pytest.raises(errors.PreconditionFailedError, match="never written"):
        key.save(tmp_path / "key.pem")
    assert not (tmp_path / "key.pem").exists()


def _named(name, base=Exception, **attributes):
    return type(name, (base,), attributes)("words\nof the service")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_named("PermissionDenied", code=403), errors.PermissionDeniedError),
        (_named("ServiceUnavailable", code=503), errors.UnavailableError),
        (_named("DefaultCredentialsError"), errors.UnauthenticatedError),
        (_named("HttpResponseError", status_code=403), errors.PermissionDeniedError),
        (_named("ResourceNotFoundError", status_code=404), errors.NotFoundError),
        (_named("ServiceRequestError"), errors.UnavailableError),
        (_named("Forbidden"), errors.PermissionDeniedError),
        (_named("VaultDown"), errors.UnavailableError),
        (_named("PinIncorrect"), errors.UnauthenticatedError),
        (_named("Derived", type(_named("PinIncorrect"))), errors.UnauthenticatedError),
        (ConnectionRefusedError("no"), errors.UnavailableError),
        (ValueError("Unsupported"), errors.InvalidInputError),
        (KeyError("x"), errors.UnavailableError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_every_librarys_errors_become_typed_ones_on_one_line(error, expected):
    described = describe_failure(error, what="hv:k/1 did not sign")
    assert type(described) is expected
    assert "\n" not in described.message
    assert len(described.message) < 500
