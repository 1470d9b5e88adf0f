"""The contract: its generated code, and what other code relies on in it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from carnet.registry.v1 import blobs_pb2

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "proto" / "carnet").rglob("*.proto"))
MODULES = [
    "carnet." + ".".join(path.relative_to(ROOT / "proto" / "carnet").with_suffix("").parts) for path in PROTOS
]


def generated(name: str):
    return importlib.import_module(f"{name}_pb2")


def messages(descriptors):
    for message in descriptors:
        yield message
        yield from messages(message.nested_types)


MESSAGES = [
    message
    for name in MODULES
    for message in messages(generated(name).DESCRIPTOR.message_types_by_name.values())
]
METHODS = [
    method
    for name in MODULES
    for service in generated(name).DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def test_the_contract_is_found():
    assert len(PROTOS) >= 9
    assert len(METHODS) >= 40


@pytest.mark.parametrize(("path", "name"), list(zip(PROTOS, MODULES, strict=True)), ids=MODULES)
def test_generated_code_is_there_and_says_what_the_source_says(path, name):
    source = path.read_text()
    descriptor = generated(name).DESCRIPTOR
    assert descriptor.package == re.search(r"^package (.+);", source, re.MULTILINE)[1]
    assert set(re.findall(r"^message (\w+)", source, re.MULTILINE)) == set(descriptor.message_types_by_name)
    assert set(re.findall(r"^service (\w+)", source, re.MULTILINE)) == set(descriptor.services_by_name)
    for service in descriptor.services_by_name.values():
        stubs = importlib.import_module(f"{name}_pb2_grpc")
        assert hasattr(stubs, f"{service.name}Stub")
        assert hasattr(stubs, f"{service.name}Servicer")


def test_a_relay_may_pass_the_messages_of_a_read_on_as_a_write():
    written = blobs_pb2.WriteBlobRequest.DESCRIPTOR.fields_by_number
    read = blobs_pb2.ReadBlobResponse.DESCRIPTOR.fields_by_number
    assert set(read) == {1, 2}
    for number, field in read.items():
        same = written[number]
        assert (same.name, same.type, same.is_repeated) == (field.name, field.type, field.is_repeated)
    data = blobs_pb2.ReadBlobResponse(offset=7, data=b"abc").SerializeToString()
    assert blobs_pb2.WriteBlobRequest.FromString(data) == blobs_pb2.WriteBlobRequest(offset=7, data=b"abc")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_call_has_messages_of_its_own(method):
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_list_that_may_grow_has_pages(method):
    if not method.name.startswith("List"):
        return
    asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
    if method.name in ("ListEntries", "ListEnvironments", "ListReportKinds"):
        assert "page_token" not in asked, (
            "these are read by position, or are as few as the configuration or the kinds"
        )
        return
    assert asked["page_size"].type == FieldDescriptor.TYPE_INT32
    assert asked["page_token"].type == answered["next_page_token"].type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name)
def test_digests_are_text_and_times_are_timestamps(message):
    for field in message.fields:
        if field.name == "digest" or field.name.endswith("_digest"):
            assert field.type == FieldDescriptor.TYPE_STRING
        if field.name.endswith("_time"):
            assert field.message_type.full_name == "google.protobuf.Timestamp"


def test_the_zero_of_every_enum_is_unspecified():
    enums = [enum for name in MODULES for enum in generated(name).DESCRIPTOR.enum_types_by_name.values()] + [
        enum for message in MESSAGES for enum in message.enum_types
    ]
    assert enums
    for enum in enums:
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")
