"""A NUL is a character as any other, until a database can't hold it: on every store the same answer, and never 5xx."""

import re
from pathlib import Path

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import FileStorage, PostgresStorage, StorageKind, StorageSettings
from moltnet.http.openapi.operations import OPERATIONS
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, open_test_server


@pytest.fixture(params=StorageKind, ids=lambda kind: kind.value)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> StorageSettings:
    kind: StorageKind = request.param
    return StorageSettings(
        kind,
        sqlite=FileStorage(tmp_path / "moltnet.db"),
        json=FileStorage(tmp_path / "moltnet.json"),
        postgres=PostgresStorage(Secret(request.getfixturevalue("postgres_dsn")))
        if kind is StorageKind.POSTGRES
        else None,
    )


async def test_a_nul_in_a_path_or_a_query_finds_nothing(storage: StorageSettings) -> None:
    async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
        client = http_client(server)
        for operation in OPERATIONS:
            names = [each.name for each in operation.parameters if each.place == "query"]
            if not operation.is_api or operation.id == "streamEvents" or ("{" not in operation.path and not names):
                continue
            path = re.sub(r"\{\w+\}", "a%00b", operation.path)
            for target in (path, *(f"{path}?{name}=a%00b" for name in names)):
                answer = await client.request(operation.method, target, b"{}" if operation.takes else None)
                assert answer.status < 500, (operation.id, target)
                if "{" in operation.path:
                    assert answer.status in (404, 409, 422), (operation.id, target)


async def test_a_nul_in_a_name_comes_back_and_in_a_key_is_refused(storage: StorageSettings) -> None:
    async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
        client = http_client(server)
        agent = {"id": "clerk", "name": "a\0b", "credential_key": "token:clerk"}
        applied = await client.post("/v1/apply", {"rooms": [{"id": "ops", "name": "a\0b"}], "agents": [agent]})
        assert (applied.status, applied.json()["rooms"][0]["name"]) == (200, "a\0b")
        assert (await client.get("/v1/rooms/ops")).json()["name"] == "a\0b"
        assert (await client.get("/v1/agents/clerk")).json()["name"] == "a\0b"
        refused = await client.post("/v1/apply", {"agents": [{**agent, "credential_key": "token:a\0b"}]})
        assert (refused.status, refused.json()["problems"][0]["path"]) == (422, "$.agents[0].credential_key")
        message = {
            "target": {"kind": "room", "room_id": "general"},
            "from": {"type": "human", "id": "ada", "name": "a\0b"},
            "parts": [{"kind": "file", "text": "\0", "filename": "a\0b", "media_type": "\0", "data": {"\0": "\0"}}],
            "mentions": ["a\0b"],
        }
        assert (await client.post("/v1/messages", message)).status == 202
        (stored,) = (await client.get("/v1/rooms/general/messages")).json()["messages"]
        assert (stored["from"]["name"], stored["parts"]) == ("a\0b", message["parts"])
        (artifact,) = (await client.get("/v1/artifacts?room_id=general")).json()["artifacts"]
        assert artifact["filename"] == "a\0b"
