"""Limits that no other test runs into: what happens at each (scripts/limit_proofs.txt)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

from bridge import limits as bridge_limits
from bridge.bubblewrap import _passes
from bridge.config import load_bridge_config
from bridge.ledger import open_ledger
from bridge.runtimes.agent_http import open_agent
from bridge.runtimes.runtime import TurnFailed
from bridge.status import AttachmentStatus
from moltnet.auth.claims import UNCHECKED
from moltnet.client.connection import Connection
from moltnet.client.errors import ServerMisbehaved
from moltnet.client.limits import MAX_INFORMATIONAL_ANSWERS
from moltnet.config import limits as config_limits
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.urls import parse_listen_address
from moltnet.core.agents import register_agent
from moltnet.core.errors import Refused
from moltnet.pairing.code import PREFIX, BadCode, parse_code
from moltnet.pairing.invitations import Invitation, keep_invitation
from moltnet.pairing.limits import MAX_CODE_CHARACTERS, MAX_OPEN_INVITATIONS
from moltnet.protocol import limits
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.codec import unstructure
from moltnet.protocol.times import Timestamp
from moltnet.storage import limits as storage_limits
from moltnet.storage.backup.file import open_backup
from moltnet.storage.backup.format import BackupDamaged, Content, Counts, Header, header_line
from node.config import load_node_config
from tests.bridge.test_render import prompt
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.messages import message, sender
from tests.fakes.network import network_config, open_test_app, open_test_server, room_message, token

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def problems_of(load: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as refused:
        load()
    return str(refused.value)


async def test_an_id_that_is_always_taken_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moltnet.core.agents.new_uuid", lambda: "0" * 36)
    async with open_test_app(network_config()) as app:
        ids = []
        for _ in range(2):
            registration, _ = await register_agent(app.context, RegisterAgentRequest("", "Luna"), UNCHECKED)
            ids.append(registration.agent_id)
        assert ids == ["luna", "luna-00000000"]
        with pytest.raises(Refused):
            await register_agent(app.context, RegisterAgentRequest("", "Luna"), UNCHECKED)


@pytest.mark.parametrize(("depth", "status"), [(limits.MAX_DATA_DEPTH, 202), (limits.MAX_DATA_DEPTH + 1, 422)])
async def test_data_may_be_nested_so_deep_that_every_reader_can_read_it(depth: int, status: int) -> None:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    document: Any = unstructure(room_message())
    document["parts"] = [{"kind": "data", "data": {"deep": value}}]
    async with open_test_server(network_config()) as server:
        answer = await http_client(server).post("/v1/messages", orjson.dumps(document))
        assert answer.status == status, answer.body
        assert (await http_client(server).get("/v1/rooms/general/messages")).status == 200


async def test_of_many_agents_a_document_names_some() -> None:
    many = [f"agent-{number:02}" for number in range(limits.MAX_DOCUMENT_AGENTS + 1)]
    tokens = (token("crowd", "write attach", *many),)
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, registration=Registration.TOKEN)
    async with open_test_server(config) as server:
        client = HttpClient(server.url, "crowd")
        for agent_id in many:
            request = RegisterAgentRequest(agent_id, agent_id)
            assert (await client.post("/v1/agents/register", request)).status in (200, 201)
        found = (await client.get("/v1/skill")).json()
    assert (len(found["agents"]), found["more_agents"]) == (limits.MAX_DOCUMENT_AGENTS, True)


def bridge_file(directory: Path, **keys: Any) -> Path:
    document = {
        "version": "moltnet.bridge.v1",
        "agent": {"id": "alpha"},
        "moltnet": {"base_url": "http://127.0.0.1:1", "network_id": "lab"},
        "runtime": {"kind": "command", "command": ["./a.sh"]},
        "rooms": [{"id": "general"}],
    }
    for name, value in keys.items():
        document[name] = {**document[name], **value} if isinstance(document.get(name), dict) else value  # type: ignore[dict-item]
    path = directory / "bridge.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("seconds", [0, -1, bridge_limits.TURN_LONGEST_SECONDS + 1])
def test_a_turn_has_a_limit_and_the_limit_has_one(seconds: float, tmp_path: Path) -> None:
    path = bridge_file(tmp_path, runtime={"turn_seconds": seconds})
    assert "turn_seconds: must be more than 0 and at most 86400" in problems_of(
        lambda: load_bridge_config(path, tmp_path)
    )


@pytest.mark.parametrize(
    ("key", "most"),
    [
        ("parallel_turns", bridge_limits.MAX_PARALLEL_TURNS),
        ("cooldown_seconds", bridge_limits.MAX_COOLDOWN_SECONDS),
        ("turns_per_hour", bridge_limits.MAX_TURNS_PER_HOUR),
    ],
)
def test_brakes_have_limits_too(key: str, most: float, tmp_path: Path) -> None:
    path = bridge_file(tmp_path, brakes={key: type(most)(most + 1)})
    assert f"$.brakes.{key}: must be from" in problems_of(lambda: load_bridge_config(path, tmp_path))
    path = bridge_file(tmp_path, brakes={key: most})
    load_bridge_config(path, tmp_path)


def test_context_has_a_limit(tmp_path: Path) -> None:
    most = bridge_limits.MAX_CONTEXT_MESSAGES
    path = bridge_file(tmp_path, rooms=[{"id": "general", "context_messages": most + 1}])
    assert f"must be from 0 to {most}" in problems_of(lambda: load_bridge_config(path, tmp_path))


def test_a_status_shows_so_many_turns_and_conversations() -> None:
    status = AttachmentStatus("alpha", "lab")
    assert status.past_turns.maxlen == bridge_limits.PAST_TURNS
    assert bridge_limits.REPORTED_CONVERSATIONS < bridge_limits.MAX_WAITING_WAKES


def test_headers_of_a_prompt_are_bounded() -> None:
    many = tuple(f"agent-{number}" for number in range(bridge_limits.MAX_SHOWN_MENTIONS + 1))
    shown = prompt(message(text="x", sender=sender(name="A" * 10_000), mentions=many))
    head = shown.partition("\n\n")[0].splitlines()
    assert max(map(len, head)) < bridge_limits.MAX_HEADER_CHARACTERS + 100
    (mentions,) = (line for line in shown.splitlines() if line.startswith("Mentions: "))
    assert mentions.count("agent-") <= bridge_limits.MAX_SHOWN_MENTIONS


async def test_a_file_of_state_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_limits, "MAX_LEDGER_BYTES", 1000)
    path = tmp_path / "ledger.json"
    path.write_bytes(b" " * 1001)
    with pytest.raises(OSError, match="larger than"):
        async with open_ledger(tmp_path, "lab:alpha"):
            pass
    assert path.stat().st_size == 1001


def test_a_path_that_never_ends_leads_where_the_program_may_write(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert _passes(tmp_path / "round" / "x", Path("/nowhere"))


async def test_an_answer_of_an_agent_without_end_fails_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_limits, "MAX_AGENT_ANSWER_BYTES", 1000)

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with open_agent(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", None) as agent:
            with pytest.raises(TurnFailed) as failed:
                await agent.get()
            assert not failed.value.retryable
        nursery.cancel_scope.cancel()


def test_a_line_of_a_backup_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_limits, "MAX_BACKUP_LINE_BYTES", 1000)
    header = Header(Content.NETWORK, "lab", Counts(room=1))  # type: ignore[arg-type]
    path = tmp_path / "file.backup"
    path.write_bytes(header_line(header) + b'{"kind":"room",' + b" " * 1000 + b"}\n")
    with pytest.raises(BackupDamaged, match="a line of it is too long"), open_backup(path) as (_, blocks):
        list(blocks)


def server_file(directory: Path, text: str) -> Callable[[], object]:
    path = directory / "Moltnet"
    path.touch(mode=0o600)
    path.write_text(text)
    return lambda: load_server_config(path, {}, directory)


@pytest.mark.parametrize("retention", ["59m", "3661d"])
def test_retention_has_limits(retention: str, tmp_path: Path) -> None:
    load = server_file(tmp_path, f"storage: {{event_retention: {retention}}}")
    assert "$.storage.event_retention" in problems_of(load)


def test_rooms_of_a_pairing_have_a_limit(tmp_path: Path) -> None:
    rooms = ", ".join(f"r{number}" for number in range(config_limits.MAX_PAIRED_ROOMS + 1))
    load = server_file(
        tmp_path,
        f'pairings: [{{id: b, remote_network_id: net_b, remote_base_url: "https://b.example", rooms: [{rooms}]}}]',
    )
    assert f"must hold {config_limits.MAX_PAIRED_ROOMS} entries or fewer" in problems_of(load)


def test_a_port_is_a_port() -> None:
    assert parse_listen_address(f"127.0.0.1:{config_limits.MAX_PORT}").port == config_limits.MAX_PORT
    with pytest.raises(ValueError, match="a port of 0 to 65535"):
        parse_listen_address(f"127.0.0.1:{config_limits.MAX_PORT + 1}")


@pytest.mark.parametrize("count", [MAX_INFORMATIONAL_ANSWERS, MAX_INFORMATIONAL_ANSWERS + 1])
async def test_a_server_that_only_promises_is_given_up(count: int) -> None:
    here, there = trio.testing.memory_stream_pair()
    connection = Connection("lab.test", trio.socket.socket(), here)
    await connection.send_request("GET", "/", [("Host", "lab.test")], b"")
    await there.send_all(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count + b"HTTP/1.1 204 No Content\r\n\r\n")
    if count > MAX_INFORMATIONAL_ANSWERS:
        with pytest.raises(ServerMisbehaved, match="informational answers"):
            await connection.receive_head()
    else:
        assert (await connection.receive_head()).status == 204
    connection.socket.close()


def test_a_code_without_end_is_none() -> None:
    with pytest.raises(BadCode, match="too long"):
        parse_code(PREFIX + "a" * MAX_CODE_CHARACTERS)


def test_so_many_invitations_are_open(tmp_path: Path) -> None:
    path = tmp_path / "invitations.json"
    invitation = Invitation("inv", "net_b", "0" * 64, Timestamp("2026-01-02T00:00:00Z"))
    for number in range(MAX_OPEN_INVITATIONS):
        keep_invitation(path, attrs.evolve(invitation, id=f"inv_{number}"), NOW)
    refused = problems_of(lambda: keep_invitation(path, attrs.evolve(invitation, id="one_more"), NOW))
    assert "invitations that are not over yet" in refused
    later = datetime(2026, 1, 3, tzinfo=UTC)
    keep_invitation(path, attrs.evolve(invitation, id="later", expires_at=Timestamp("2026-01-04T00:00:00Z")), later)


async def test_a_search_has_so_many_words() -> None:
    async with open_test_server(network_config()) as server:
        for count, status in ((limits.MAX_SEARCH_WORDS, 200), (limits.MAX_SEARCH_WORDS + 1, 422)):
            answer = await http_client(server).get("/v1/search?text=" + "+".join(f"w{n}" for n in range(count)))
            assert answer.status == status, answer.body


def test_a_node_file_has_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "MoltnetNode"
    path.touch(mode=0o600)
    path.write_text(f"parallel_turns: {bridge_limits.MAX_PARALLEL_TURNS + 1}\n")
    assert "$.parallel_turns" in problems_of(lambda: load_node_config(path, {}, tmp_path))
