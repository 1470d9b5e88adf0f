"""The table of permissions is complete, and finds the namespace that a request is about."""

from __future__ import annotations

from typing import get_args

import pytest

from carnet.errors import ReferenceInvalidError
from carnet.registry.v1 import aliases_pb2, blobs_pb2, models_pb2
from carnet_server.access.bindings import Role
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.access.permissions import PERMISSIONS, READERS, Place
from carnet_server.app import SERVICES

ROLES = {*get_args(Role), "peer"}
MODELS = "/carnet.registry.v1.ModelService"
ALIASES = "/carnet.registry.v1.AliasService"
BLOBS = "/carnet.registry.v1.BlobService"


def test_every_role_of_the_table_can_be_given():
    named = {role for permission in PERMISSIONS.values() for role in permission.roles}
    assert named <= ROLES
    assert set(get_args(Role)) == READERS


def test_every_call_wants_a_role_and_is_of_a_service_that_is_served():
    assert all(permission.roles for permission in PERMISSIONS.values())
    assert {method.split("/")[1] for method in PERMISSIONS} == set(SERVICES)
    assert all(method.startswith(RegistryCallScope.guarded) for method in PERMISSIONS)


@pytest.mark.parametrize(
    "method",
    [
        method
        for method in PERMISSIONS
        if method.rpartition("/")[2] in {"Admit", "PullBlobs", "CreateRelease"}
    ],
)
def test_only_the_promotion_service_moves_bundles_between_environments(method):
    assert PERMISSIONS[method].roles == {"promoter"}


@pytest.mark.parametrize(
    ("method", "request_message", "namespace", "alias"),
    [
        (f"{MODELS}/GetModel", models_pb2.GetModelRequest(name="namespaces/risk/models/fraud"), "risk", ""),
        (f"{MODELS}/ListModels", models_pb2.ListModelsRequest(parent="namespaces/risk"), "risk", ""),
        (f"{MODELS}/ListModels", models_pb2.ListModelsRequest(parent="namespaces/-"), None, ""),
        (
            f"{ALIASES}/SetAlias",
            aliases_pb2.SetAliasRequest(name="namespaces/risk/models/fraud/aliases/champion"),
            "risk",
            "champion",
        ),
        (f"{BLOBS}/WriteBlob", blobs_pb2.WriteBlobRequest(parent="namespaces/growth"), "growth", ""),
    ],
)
def test_what_a_call_is_about_is_found_in_the_request(method, request_message, namespace, alias):
    assert PERMISSIONS[method].place(request_message) == (namespace and Place(namespace, alias))


@pytest.mark.parametrize("name", ["", "risk", "namespaces/../risk", "namespaces/Risk"])
def test_a_request_about_no_namespace_is_refused(name):
    with pytest.raises(ReferenceInvalidError, match="name: "):
        PERMISSIONS[f"{MODELS}/GetModel"].place(models_pb2.GetModelRequest(name=name))
