"""The server's configuration where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import pytest

from moltnet.config.problems import ConfigError
from moltnet.config.server import MoltnetConfig, load_server_config
from moltnet.config.server_limits import Rate
from moltnet.config.settings import AuthMode
from moltnet.protocol.ids import NetworkId
from moltnet.storage.factory import SQLITE, open_store
from moltnet.storage.store import WrongNetwork
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.homes import Home
from tests.fakes.http_client import http_client
from tests.fakes.network import event_types, network_config, room, token
from tests.weaknesses.bodies import said

Load = Callable[..., MoltnetConfig]
STRONG = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a file as a start does."""

    def read(text: str, environ: Mapping[str, str] | None = None, *, mode: int = 0o600) -> MoltnetConfig:
        path = tmp_path / "Moltnet"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return load_server_config(path, environ or {}, tmp_path)

    return read


def problems_of(load: Load, text: str, environ: Mapping[str, str] | None = None, *, mode: int = 0o600) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, environ, mode=mode)
    return str(caught.value)


async def test_a_declared_room_that_was_removed_is_there_after_the_next_start(home: Home) -> None:
    async with home.serve() as server:
        assert (await http_client(server).delete("/v1/rooms/general")).status == 200
    async with home.serve() as server:
        assert (await http_client(server).get("/v1/rooms/general")).json()["members"] == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("rooms: [{id: not an id}]", "$.rooms[0].id"),
        ("rooms: [{id: general, members: [not a member]}]", "$.rooms[0].members[0]"),
        ("network: {id: two words}", "$.network.id"),
        ("network: {id: 'a:b'}", "$.network.id"),
        (
            f"auth: {{mode: bearer, tokens: [{{id: a, value: {STRONG}, scopes: [write], agents: [x]}}, "
            f"{{id: b, value: {STRONG[::-1]}, scopes: [write], agents: [x]}}]}}",
            "$.auth.tokens[1].agents",
        ),
    ],
)
def test_a_file_that_could_not_start_does_not_load(load: Load, text: str, path: str) -> None:
    assert path in problems_of(load, text)


async def test_data_of_another_network_is_not_served_under_a_new_id(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.db"
    async with open_store(SQLITE, sqlite_path=path, network_id=NetworkId("first")):
        pass
    with pytest.raises(WrongNetwork, match="first"):
        async with open_store(SQLITE, sqlite_path=path, network_id=NetworkId("second")):
            raise AssertionError("opened")
    async with open_store(SQLITE, sqlite_path=path, network_id=NetworkId("first")):
        pass


async def test_members_that_came_at_runtime_stay_until_the_file_changes(home: Home) -> None:
    config = network_config(rooms=[room("general", "alpha")])
    async with home.serve(config) as server:
        await http_client(server).patch("/v1/rooms/general/members", {"add": ["gamma"]})
    async with home.serve(config) as server:
        assert (await http_client(server).get("/v1/rooms/general")).json()["members"] == ["alpha", "gamma"]
        before = len(await event_types(server.app))
    changed = network_config(rooms=[room("general", "alpha", "delta")])
    async with home.serve(changed) as server:
        assert (await http_client(server).get("/v1/rooms/general")).json()["members"] == ["alpha", "delta"]
        assert (await event_types(server.app))[before:] == ["room.members.updated"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("rooms: [{id: general}, {id: general}]", "$.rooms[1].id"),
        (
            f"auth: {{mode: bearer, tokens: [{{id: a, value: {STRONG}, scopes: [write]}}, "
            f"{{id: b, value: {STRONG}, scopes: [admin]}}]}}",
            "$.auth.tokens[1]",
        ),
        (
            "pairings: [{id: p, remote_base_url: 'http://a.test'}, {id: p, remote_base_url: 'http://b.test'}]",
            "$.pairings[1].id",
        ),
    ],
)
def test_what_must_be_unique_is(load: Load, text: str, path: str) -> None:
    assert path in problems_of(load, text)


@pytest.mark.parametrize(
    "text",
    [
        "network: {id: lab}\n---\nauth: {mode: bearer}\n",
        "auth: {mode: none, tokens: [{id: a, value: short, scopes: [write]}]}",
        f"auth: {{mode: none, tokens: [{{id: a, value: {STRONG}, scopes: [everything]}}]}}",
    ],
)
def test_nothing_in_the_file_is_passed_over(load: Load, text: str) -> None:
    assert "Moltnet" in problems_of(load, text)


def test_a_secret_may_come_from_the_environment_or_a_private_file(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(STRONG[::-1], encoding="utf-8")
    text = (
        "auth: {mode: bearer, tokens: [{id: a, value_env: A_TOKEN, scopes: [write]}, "
        "{id: b, value_file: token, scopes: [admin]}]}"
    )
    config = load(text, {"A_TOKEN": STRONG}, mode=0o644)
    assert [each.value.reveal() for each in config.auth.tokens if each.value is not None] == [STRONG, STRONG[::-1]]
    file.chmod(0o644)
    assert "$.auth.tokens[1]" in problems_of(load, text, {"A_TOKEN": STRONG})


async def test_a_changed_file_is_taken_over_under_open_connections(home: Home) -> None:
    kept, gone = token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta")
    admin, new = token("admin", "admin"), token("gamma", "observe")
    config = network_config(mode=AuthMode.BEARER, tokens=[kept, gone, admin])
    changed = attrs.evolve(
        config,
        auth=attrs.evolve(config.auth, tokens=(kept, admin, new)),
        rooms=(*config.rooms, room("new", "alpha")),
    )
    async with (
        home.serve(config) as server,
        open_websocket_wire(server.url, "alpha") as alphas,
        open_websocket_wire(server.url, "beta") as betas,
    ):
        alpha, beta = await attach(alphas, "alpha"), await attach(betas, "beta")
        assert (await http_client(server, "gamma").get("/v1/rooms")).status == 401
        server.app.load = lambda: changed
        assert (await http_client(server, "admin").post("/v1/admin/reload", {})).status == 200
        assert (await beta.wait_closed()).code == 1008
        assert (await http_client(server, "gamma").get("/v1/rooms")).status == 200
        body = said("still here", target={"kind": "room", "room_id": "new"})
        assert (await http_client(server, "alpha").post("/v1/messages", body)).status == 202
        assert await alpha.next_texts(1) == ["still here"]


@pytest.mark.parametrize("broken", ["readable", "symlink", "directory"])
def test_a_file_with_secrets_is_private_in_every_way(load: Load, tmp_path: Path, broken: str) -> None:
    text = f"auth: {{mode: bearer, tokens: [{{id: a, value: {STRONG}, scopes: [write]}}]}}"
    load(text)
    path = tmp_path / "Moltnet"
    match broken:
        case "readable":
            path.chmod(0o640)
        case "symlink":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "directory":
            tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="when it holds secrets"):
        load_server_config(path, {}, tmp_path)


def test_limits_and_proxies_have_settings(load: Load) -> None:
    server = load("server: {trusted_proxies: [10.0.0.0/8], limits: {streams: 7, requests_per_address: 5/s}}").server
    assert [str(each) for each in server.trusted_proxies] == ["10.0.0.0/8"]
    assert (server.limits.streams, server.limits.requests_per_address) == (7, Rate(5, 5))
    assert "$.server.trusted_proxies[0]" in problems_of(load, "server: {trusted_proxies: [0.0.0.0/0]}")


def test_an_origin_that_is_none_is_an_error_and_no_default(load: Load) -> None:
    for origin in ("console.test", "http://console.test/path", "*"):
        assert "$.server.allowed_origins[0]" in problems_of(load, f"server: {{allowed_origins: ['{origin}']}}")


def test_the_log_has_settings(load: Load) -> None:
    config = load("log: {level: warning, format: json}")
    assert (config.log.level, config.log.format) == ("warning", "json")
