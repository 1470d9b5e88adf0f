"""Tokens: what makes one good, and what each bad one is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import UnauthenticatedError
from carnet.serving.callers.tokens import TOKEN_MAX_LENGTH, TokenVerifier
from tests.support.oidc import Key, github_claims, gitlab_claims


@pytest.fixture
def verify(make_trust):
    verifier = TokenVerifier()

    async def verify(token, **fields):
        return await verifier.verify(token, make_trust(**fields))

    return verify


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_good_token_is_taken_in_both_algorithms(issuer, verify, algorithm):
    issuer.rotate(algorithm)
    token = await verify(issuer.token(github_claims()))
    assert token.issuer == issuer.url
    assert token.claims["repository"] == ("acme/fraud",)
    assert token.expires_at > time.time()


async def test_the_subject_is_stable_and_says_who_vouches_for_it(issuer, verify):
    first, second = [await verify(issuer.token(gitlab_claims(job_id=str(job)))) for job in (1, 2)]
    place = issuer.url.removeprefix("http://").replace(":", "%3A")
    assert first.subject == second.subject == f"oidc:{place}:project_path:acme/fraud:ref_type:branch:ref:main"


async def test_other_claims_may_make_the_subject_and_no_value_can_pass_for_two(issuer, verify):
    chosen = {"issuer": {"subject_claims": ["repository", "environment"]}}
    token = await verify(issuer.token(github_claims()), **chosen)
    assert token.subject.endswith(":repository=acme/fraud;environment=prod")
    sly = await verify(
        issuer.token(github_claims(repository="acme/fraud;environment=prod", environment="x")), **chosen
    )
    assert sly.subject.endswith(":repository=acme/fraud%253Benvironment%253Dprod;environment=x")


async def test_numbers_and_lists_are_claims_as_text_and_nested_values_are_none(issuer, verify):
    token = await verify(issuer.token(gitlab_claims(groups=["a", "b", {"c": 1}], admin=True)))
    assert token.claims["runner_id"] == ("1",)
    assert token.claims["groups"] == ("a", "b")
    assert token.claims["admin"] == ("true",)
    assert "user_identities" not in token.claims


BAD = {
    "ended": (lambda now: {"exp": now - 120}, "has ended"),
    "not begun": (lambda now: {"nbf": now + 600}, "not valid yet"),
    "issued in the future": (lambda now: {"iat": now + 600}, "not valid yet"),
    "another audience": (lambda _: {"aud": "carnet-prod"}, "audience 'carnet-dev'"),
    "other audiences": (lambda _: {"aud": ["carnet-prod", "x"]}, "audience 'carnet-dev'"),
    "no audience": (lambda _: {"aud": None}, "no claim 'aud'"),
    "no end": (lambda _: {"exp": None}, "no claim 'exp'"),
    "no subject": (lambda _: {"sub": None}, "no claim 'sub'"),
    "an empty subject": (lambda _: {"sub": ""}, "no single value of the claim 'sub'"),
    "a long subject": (lambda _: {"sub": "x" * 1100}, "longer than"),
    "an unknown issuer": (lambda _: {"iss": "https://token.example"}, "issuer is unknown"),
    "no issuer": (lambda _: {"iss": None}, "issuer is unknown"),
    "an issuer that only begins so": (lambda _: {"iss": "http://127.0.0.1"}, "issuer is unknown"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_token_is_told_what_is_wrong(issuer, verify, case):
    changed, said = BAD[case]
    with pytest.raises(UnauthenticatedError, match=said):
        await verify(issuer.token(github_claims(**changed(int(time.time())))))


@pytest.mark.parametrize("skew", [-45, 45])
async def test_clocks_may_differ_by_a_minute(issuer, verify, skew):
    now = int(time.time())
    ends = now - 45 if skew < 0 else now + 300
    await verify(issuer.token(github_claims(iat=now + skew, nbf=now + skew, exp=ends)))


async def test_a_signature_of_another_key_or_algorithm_is_refused(issuer, verify):
    forged = Key()
    forged.id = issuer.keys[0].id
    tokens = [
        (issuer.token(github_claims(), key=forged), "not signed by its issuer"),
        (issuer.unsigned_token(github_claims()), "must be signed with"),
        (issuer.token_signed_with_the_public_key(github_claims()), "must be signed with"),
        (issuer.token(github_claims(), key=Key("ES256")), "does not publish"),
        (issuer.token(github_claims(), headers={"kid": ""}), "kid"),
        (issuer.token(github_claims(), headers={"kid": "x" * 300}), "kid"),
    ]
    for token, said in tokens:
        with pytest.raises(UnauthenticatedError, match=said):
            await verify(token)


async def test_an_algorithm_that_the_environment_does_not_allow_is_refused(issuer, verify):
    with pytest.raises(UnauthenticatedError, match="must be signed with ES256"):
        await verify(issuer.token(github_claims()), issuer={"algorithms": ["ES256"]})


async def test_a_changed_token_is_refused(issuer, verify):
    head, _, tail = issuer.token(github_claims()).split(".")
    other = issuer.token(github_claims(repository="acme/prod")).split(".")[1]
    with pytest.raises(UnauthenticatedError, match="not signed by its issuer"):
        await verify(f"{head}.{other}.{tail}")


@pytest.mark.parametrize(
    "text",
    ["", "a", "a.b", "a.b.c", "....", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA", "é.é.é", "W10.W10.W10", "x" * 9000],
)
async def test_what_is_no_token_is_refused(verify, text):
    with pytest.raises(UnauthenticatedError):
        await verify(text)


async def test_a_token_that_is_too_long_is_not_read(issuer, verify):
    with pytest.raises(UnauthenticatedError, match=str(TOKEN_MAX_LENGTH)):
        await verify(issuer.token(github_claims(padding="x" * TOKEN_MAX_LENGTH)))
    assert issuer.asked == []


async def test_tokens_of_an_issuer_are_taken_up_to_its_end(issuer, verify):
    end = datetime.now(UTC).replace(microsecond=0)
    assert await verify(issuer.token(github_claims()), issuer={"valid_until": end + timedelta(hours=1)})
    with pytest.raises(UnauthenticatedError, match=f"were taken here until {end:%Y-%m-%d %H:%M} UTC"):
        await verify(issuer.token(github_claims()), issuer={"valid_until": end})
