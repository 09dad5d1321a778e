"""What the table says of credentials and bodies, tried on every operation: whom it refuses, and with which code."""

import re
from typing import Final

import pytest

from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.http.openapi.operation import Operation
from moltnet.http.openapi.operations import OPERATIONS
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer, network_config, open_test_server, token

NETWORK: Final = network_config(
    mode=AuthMode.BEARER,
    tokens=[
        *(token(scope.value, scope.value, *(("alpha",) if scope is Scope.ATTACH else ())) for scope in Scope),
        token("operator", "admin write"),
    ],
    registration=Registration.TOKEN,
)
# An upgrade is refused before anything else without one, and a stream does not end: they have their own tests.
TRIED: Final = [each for each in OPERATIONS if each.is_api and each.id not in ("attach", "streamEvents")]
GUARDED: Final = [each for each in TRIED if not each.access.is_open]
# Scopes that are not enough by themselves: only a token that the server made for the agent, or one that has agents.
ONLY_AS_AN_AGENT: Final = {
    "listCredentials": {Scope.ATTACH, Scope.WRITE},
    "replaceAgentToken": {Scope.ATTACH, Scope.WRITE},
    "revokeAgentToken": {Scope.ATTACH, Scope.WRITE},
}


async def ask(server: TestServer, operation: Operation, token_id: str = "", body: bytes = b"{}") -> HttpAnswer:
    path = re.sub(r"\{\w+\}", "nothing", operation.path)
    return await http_client(server, token_id).request(operation.method, path, body if operation.takes else None)


def code_of(answer: HttpAnswer) -> str:
    return answer.code if answer.status >= 400 else ""


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.id)
async def test_who_has_no_token_and_who_has_a_wrong_one(operation: Operation) -> None:
    async with open_test_server(NETWORK) as server:
        assert code_of(await ask(server, operation)) == "unauthorized"
        assert code_of(await ask(server, operation, "nobody")) == "invalid_token"


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.id)
async def test_a_scope_that_is_listed_is_enough_and_another_is_not(operation: Operation) -> None:
    async with open_test_server(NETWORK) as server:
        refused = {scope for scope in Scope if code_of(await ask(server, operation, scope.value)) == "missing_scope"}
    enough = set(operation.access.scopes) - ONLY_AS_AN_AGENT.get(operation.id, set())
    if operation.method == "GET" and operation.id != "describeSkill":
        enough.discard(Scope.WRITE)  # the token for it has no agents here, so there is nothing that it could read
    assert refused == set(Scope) - enough


@pytest.mark.parametrize("operation", [each for each in TRIED if each.takes], ids=lambda operation: operation.id)
async def test_a_body_that_is_no_json_and_one_that_has_a_field_of_a_wrong_type(operation: Operation) -> None:
    assert operation.takes is not None
    async with open_test_server(NETWORK) as server:
        for body in (b"{", b"[]", b'"text"', b'{"a": 1, "a": 1}'):
            answer = await ask(server, operation, "operator", body)
            assert (answer.status, answer.code) == (400, "invalid_json"), body
        wrong = b'{"%b": 5}' % next(iter(operation.takes.__annotations__)).encode()
        answer = await ask(server, operation, "operator", wrong)
        assert (answer.status, answer.code) == (400, "invalid_field")
        large = await ask(server, operation, "operator", b'"' + b"x" * 1024 * 1024 + b'"')
        assert (large.status, large.code) == (413, "body_too_large")
