"""Names and references: what is taken, what is refused, and that one is written as it is read."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import ReferenceInvalidError
from carnet.references import (
    NAME_MAX_LENGTH,
    VERSION_MAX,
    Reference,
    ResourceName,
    check_name,
    check_version_number,
    parse_reference,
    parse_resource_name,
)

WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
NAMES = st.builds(
    lambda first, rest, mark: mark.join([first, *rest]),
    st.builds(str.__add__, st.sampled_from(string.ascii_lowercase), WORD),
    st.lists(WORD, max_size=3),
    st.sampled_from("-_"),
)
VERSIONS = st.integers(1, VERSION_MAX)
BAD_NAMES = [
    "",
    "Fraud",
    "1fraud",
    "-fraud",
    "fraud-",
    "fraud--two",
    "fraud-_two",
    "fraud.two",
    "fräud",
    "fraud two",
    "fraud\n",
    "fraud/two",
    "..",
    "x" * (NAME_MAX_LENGTH + 1),
]


@pytest.mark.parametrize("name", ["a", "fraud", "fraud-2", "fraud_2", "a1-b2_c3", "x" * NAME_MAX_LENGTH])
def test_a_name_is_lowercase_letters_digits_and_single_marks(name):
    assert check_name(name, field="model") == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_anything_else_is_no_name(name):
    with pytest.raises(ReferenceInvalidError, match="model") as refused:
        check_name(name, field="model")
    assert refused.value.metadata == {"field": "model"}


@pytest.mark.parametrize("number", [0, -1, VERSION_MAX + 1])
def test_versions_are_numbered_from_one(number):
    with pytest.raises(ReferenceInvalidError, match=str(number)):
        check_version_number(number)
    assert check_version_number(1) == 1
    assert check_version_number(VERSION_MAX) == VERSION_MAX


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("prod/risk/fraud", Reference("prod", "risk", "fraud")),
        ("prod/risk/fraud@3", Reference("prod", "risk", "fraud", version=3)),
        ("prod/risk/fraud@champion", Reference("prod", "risk", "fraud", alias="champion")),
        (
            "prod-eu/risk_a/fraud2@shadow-1",
            Reference("prod-eu", "risk_a", "fraud2", alias="shadow-1"),
        ),
        ("dev/risk/fraud@2147483647", Reference("dev", "risk", "fraud", version=VERSION_MAX)),
    ],
)
def test_a_reference_is_read_as_it_is_written(text, reference):
    assert parse_reference(text) == reference
    assert str(reference) == text


@given(NAMES, NAMES, NAMES, st.one_of(st.just(""), NAMES, VERSIONS))
def test_every_reference_is_read_as_it_is_written(environment, namespace, model, pointed):
    text = f"{environment}/{namespace}/{model}" + (f"@{pointed}" if pointed else "")
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fraud",
        "risk/fraud",
        "prod/risk/fraud/3",
        "prod//fraud",
        "/risk/fraud",
        "prod/risk/",
        "prod/risk/fraud@",
        "prod/risk/fraud@0",
        "prod/risk/fraud@007",
        "prod/risk/fraud@000000000012",
        "prod/risk/fraud@-1",
        "prod/risk/fraud@2147483648",
        "prod/risk/fraud@99999999999999999999",
        "prod/risk/fraud@3@4",
        "prod/risk/fraud@Champion",
        "prod/risk/fraud@champion ",
        "prod/risk/fraud@٣",
        "prod/risk/../fraud",
        "Prod/risk/fraud",
        "prod/risk/fraud\n",
        "x" * 100_000,
        "prod/risk/fraud@" + "9" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ReferenceInvalidError) as refused:
        parse_reference(text)
    assert len(refused.value.message) < 1000


@given(st.text())
def test_no_text_makes_it_fail_otherwise(text):
    for want in ("any", "model", "version"):
        try:
            assert str(parse_reference(text, want=want)) == text
        except ReferenceInvalidError:
            continue


def test_a_model_or_a_version_may_be_insisted_on():
    assert parse_reference("dev/risk/fraud", want="model").model == "fraud"
    assert parse_reference("dev/risk/fraud@champion", want="version").alias == "champion"
    with pytest.raises(ReferenceInvalidError, match="without '@"):
        parse_reference("dev/risk/fraud@3", want="model")
    with pytest.raises(ReferenceInvalidError, match="dev/risk/fraud@1"):
        parse_reference("dev/risk/fraud", want="version")


def test_a_reference_knows_its_resource_names():
    reference = parse_reference("dev/risk/fraud@3")
    assert reference.model_name == "namespaces/risk/models/fraud"
    assert reference.resource_name == "namespaces/risk/models/fraud/versions/3"
    assert (
        parse_reference("dev/risk/fraud@champion").resource_name
        == "namespaces/risk/models/fraud/aliases/champion"
    )


RESOURCES = {
    "namespace": ("namespaces/risk", ResourceName("risk")),
    "model": ("namespaces/risk/models/fraud", ResourceName("risk", "fraud")),
    "version": ("namespaces/risk/models/fraud/versions/3", ResourceName("risk", "fraud", version=3)),
    "alias": (
        "namespaces/risk/models/fraud/aliases/champion",
        ResourceName("risk", "fraud", alias="champion"),
    ),
}


@pytest.mark.parametrize("want", RESOURCES)
@pytest.mark.parametrize("given_kind", RESOURCES)
def test_a_resource_name_must_reach_what_is_wanted(want, given_kind):
    text, name = RESOURCES[given_kind]
    if want == given_kind:
        assert parse_resource_name(text, field="name", want=want) == name
        assert str(name) == text
    else:
        with pytest.raises(ReferenceInvalidError, match=f"name: .*{want}") as refused:
            parse_resource_name(text, field="name", want=want)
        assert refused.value.metadata == {"field": "name"}


def test_one_of_several_may_be_wanted():
    for kind in ("version", "alias"):
        text, name = RESOURCES[kind]
        assert parse_resource_name(text, field="name", want="version or alias") == name


@given(NAMES, NAMES, VERSIONS)
def test_every_resource_name_is_read_as_it_is_written(namespace, model, version):
    name = ResourceName(namespace, model, version=version)
    assert parse_resource_name(str(name), field="name", want="version") == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "risk",
        "namespaces/",
        "namespaces/-",
        "namespaces/Risk",
        "namespaces/risk/",
        "namespaces/risk\n",
        "/namespaces/risk",
        "namespaces/risk/models",
        "namespaces/risk/models/../models/fraud",
        "namespaces/risk/models/fraud/versions/0",
        "namespaces/risk/models/fraud/versions/03",
        "namespaces/risk/models/fraud/versions/2147483648",
        "namespaces/risk/models/fraud/versions/9999999999",
        "namespaces/risk/models/fraud/versions/3/aliases/x",
        "namespaces/risk/models/fraud/versions/champion",
        f"namespaces/{'x' * 64}",
        f"namespaces/risk/models/{'x' * 64}/versions/1",
        "namespaces/" + "x" * 1_000_000,
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_resource_name_is_refused(text):
    with pytest.raises(ReferenceInvalidError, match="name: ") as refused:
        parse_resource_name(text, field="name", want="namespace or model or version or alias")
    assert len(refused.value.message) < 1000
