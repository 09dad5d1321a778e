"""The documents that agents read, where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from bridge.policy import Wake, WakeReason
from bridge.render import render_body, render_prompt
from bridge.runtimes.runtime import Conversation
from bridge.settings import RuntimeKind
from moltnet.auth.claims import ANONYMOUS
from moltnet.config.settings import AuthMode, MoltnetConfig, NetworkSettings, RoomSettings
from moltnet.config.wake import WakePolicy
from moltnet.core.agents import claim_agent
from moltnet.protocol.ids import AgentId, NetworkId, event_id_of_message
from moltnet.protocol.limits import MAX_DOCUMENT_ROOMS, MAX_JOINED_ROOMS
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.skill.bundled import bundled_skill
from tests.fakes.http_client import http_client
from tests.fakes.messages import NETWORK, message
from tests.fakes.network import TestServer, network_config, open_test_server, room, token
from tests.skill.documents import HOSTILE, blocks, commands, front_matter, load, parse

PUBLIC = Visibility.PUBLIC
AGORA = room("agora", visibility=PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS)
CELLAR = room("cellar", "alpha", "luna")
HALL = room("hall", visibility=PUBLIC)
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("attach", "attach"),
    token("write", "write"),
    token("observe", "observe"),
    token("admin", "admin write"),
]


def network(mode: AuthMode, *rooms: RoomSettings, **changes: Any) -> MoltnetConfig:
    tokens = [] if mode is AuthMode.NONE else TOKENS
    return network_config(mode=mode, tokens=tokens, rooms=rooms or (AGORA, CELLAR, HALL), **changes)


async def text(server: TestServer, path: str, caller: str = "", **headers: str) -> str:
    answer = await http_client(server, caller).get(path, **headers)
    assert answer.status == 200, answer
    return answer.body.decode()


async def document(server: TestServer, caller: str = "") -> Any:
    return (await http_client(server, caller).get("/v1/skill")).json()


async def luna(server: TestServer) -> str:
    """A generated token of the agent luna, who is a member of the cellar."""
    registration, _ = await claim_agent(server.app.context, AgentId("luna"), "", ANONYMOUS)
    return registration.agent_token


def targets(text: str, command: str) -> set[str]:
    """The rooms that the examples of a command name."""
    found = [words for words in commands(text) if words[:2] == ["moltnet", command]]
    return {words[words.index("--target") + 1] for words in found if words[words.index("--target") + 1][:5] == "room:"}


@pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.OPEN])
async def test_an_agent_is_told_what_it_may_really_read_and_send(mode: AuthMode) -> None:
    async with open_test_server(network(mode)) as server:
        for caller in ("alpha", await luna(server)):
            skill = await text(server, "/skill.md", caller)
            assert "cellar" in re.findall(r"- Readable rooms: (.*)", skill)[0]
            assert "`cellar`" in re.findall(r"- Rooms that you may write in now: (.*)", skill)[0]
            known = await document(server, caller)
            assert known["direct_messages"] == {"enabled": True, "can_read": True, "can_send": True}
            assert targets(skill, "send") <= {f"room:{each['id']}" for each in known["rooms"] if each["can_write"]}
            assert targets(skill, "send")


async def test_the_label_is_about_rooms_and_a_member_sees_its_private_ones() -> None:
    rooms = (HALL, room("cellar", "luna"))
    async with open_test_server(network(AuthMode.BEARER, *rooms, direct_messages=False)) as server:
        own = await luna(server)
        assert (await document(server, own))["access"] == "read/write"
        assert (await document(server, "attach"))["access"] == "limited"
    async with open_test_server(network(AuthMode.BEARER, *rooms, direct_messages=False, public_read=True)) as server:
        own = await luna(server)
        assert [each["id"] for each in (await document(server, own))["rooms"]] == ["cellar", "hall"]
        assert (await document(server, "alpha"))["access"] == "read-only"


async def test_who_has_a_credential_is_not_told_to_claim_an_id() -> None:
    async with open_test_server(network(AuthMode.OPEN)) as server:
        for caller in ("alpha", await luna(server), "admin", "observe"):
            for path in ("/install.md", "/skill.md"):
                assert "--registration" not in await text(server, path, caller)
        assert "--registration" in await text(server, "/skill.md")


async def test_every_agent_gets_a_guide_and_its_commands_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_test_server(network(AuthMode.BEARER)) as server:
        for caller in ("alpha", "attach", "write", await luna(server)):
            guide = await text(server, "/install.md", caller)
            (connect,) = [words for words in commands(guide) if words[:2] == ["moltnet", "connect"]]
            assert connect[connect.index("--auth-mode") + 1] == "bearer"
            assert parse(connect)["token_env"] == "MOLTNET_TOKEN"
        assert "Your credential acts as `alpha`" in await text(server, "/install.md", "alpha")
    async with open_test_server(network(AuthMode.NONE)) as server:
        guide = await text(server, "/install.md")
        assert targets(guide, "send") == {"room:agora"}
        assert "Not yet" not in guide


def test_the_skill_explains_threads_mentions_silence_and_whom_not_to_trust() -> None:
    for words in ("thread:ROOM/ID", "`@its-id`", "Silence is fine", "never instructions", "429", "nothing new is said"):
        assert words in bundled_skill()


def test_the_skill_explains_every_line_of_a_wake() -> None:
    (example,) = blocks(bundled_skill(), "text")
    said = message(thread="t1")
    wake = Wake(event_id_of_message(said.id), event_id_of_message(said.id), said, WakeReason.MENTION, render_body(said))
    thread = Conversation.of_target(NETWORK, said.target)
    prompt = render_prompt(thread, "you", [wake], {wake.event_id}) + render_prompt(thread, "you", [wake, wake], ())
    explained = {*keys(example), "Name", "Mentions", "Note", "Parent message", "Participants"}
    explained |= {each for each in ("Queued messages", "Redelivered") if f"`{each}" in bundled_skill()}
    assert keys(prompt) <= explained
    assert {"Queued messages", "Redelivered", "Message ID", "Answer with"} <= keys(prompt)


def keys(prompt: str) -> set[str]:
    """What stands before the colon in the headers of a prompt."""
    return {line.partition(":")[0] for line in prompt.splitlines() if re.match(r"[A-Z][\w ]*: ", line)}


async def test_names_stay_values_and_nothing_is_added_to_a_document() -> None:
    paths = ("/install.md", "/skill.md", "/llms.txt")
    plain = {path: await named("Lab", path) for path in paths}
    for name in (each for each in HOSTILE if 0 < len(each) <= 256):
        for path in paths:
            shown = await named(name, path)
            assert headings(shown)[1:] == headings(plain[path])[1:]
            assert list(commands(shown)) == list(commands(plain[path]))
            assert blocks(shown, "yaml") == blocks(plain[path], "yaml")
            assert len(shown.splitlines()) == len(plain[path].splitlines())
        assert front_matter(await named(name, "/skill.md"))["name"] == "moltnet"


async def named(name: str, path: str) -> str:
    """A document of a network with this name, and a room with it."""
    config = network(AuthMode.OPEN, attrs.evolve(HALL, name=name))
    async with open_test_server(attrs.evolve(config, network=NetworkSettings(NetworkId("lab"), name))) as server:
        return (await text(server, path)).replace(str(server.port), "8787")


def headings(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


async def test_a_forwarded_host_of_a_stranger_counts_for_nothing() -> None:
    async with open_test_server(network(AuthMode.OPEN)) as server:
        answer = await http_client(server).get("/install.md", X_Forwarded_Host="evil.test", X_Forwarded_Proto="https")
        assert b"evil.test" not in answer.body
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "X-Forwarded-Host" in answer.headers["vary"]


async def test_nothing_is_fetched_from_elsewhere() -> None:
    async with open_test_server(network(AuthMode.OPEN)) as server:
        for path in ("/install.md", "/skill.md", "/llms.txt"):
            shown = await text(server, path)
            for url in re.findall(r"(?:https?|wss?)://[^\s`\"']+", shown):
                assert url.startswith((server.url, "ws://127.0.0.1:", "http://127.0.0.1:")), url
            assert "curl" not in shown
            assert "| sh" not in shown
        guide = await text(server, "/install.md")
        assert "`pipx install moltnet`" in guide
        assert "`uv tool install moltnet`" in guide
        assert "pip install moltnet" in guide


async def test_node_files_work_as_they_are(tmp_path: Path) -> None:
    async with open_test_server(network(AuthMode.OPEN)) as server:
        snippets = blocks(await text(server, "/install.md"), "yaml")
    loaded = {config.attachments[0].runtime.kind: config for config in (load(each, tmp_path) for each in snippets)}
    assert set(loaded) == set(RuntimeKind)
    assert loaded[RuntimeKind.CODEX].attachments[0].runtime.workspace_path == tmp_path
    claude = loaded[RuntimeKind.CLAUDE_CODE].attachments[0].runtime
    assert (claude.workspace_path, claude.args) == (tmp_path, ("--allowedTools", "Bash(moltnet:*)"))
    pico = loaded[RuntimeKind.PICOCLAW].attachments[0].runtime
    assert pico.events_url == "ws://127.0.0.1:18790/pico/ws"
    assert pico.token


async def test_of_many_rooms_few_are_joined_and_the_rest_can_be_found() -> None:
    many = [room(f"r{number:03}", visibility=PUBLIC) for number in range(MAX_DOCUMENT_ROOMS + 1)]
    async with open_test_server(network(AuthMode.OPEN, *many)) as server:
        guide = await text(server, "/install.md")
        assert f"There are more rooms than these {MAX_DOCUMENT_ROOMS}" in guide
        assert f"{server.url}/v1/rooms" in guide
        (connect,) = [words for words in commands(guide) if words[:2] == ["moltnet", "connect"]]
        assert len(connect[connect.index("--rooms") + 1].split(",")) == MAX_JOINED_ROOMS
        assert "run it again with `--rooms`" in guide


async def test_a_skill_has_a_version_a_tag_and_a_twin_for_programs() -> None:
    async with open_test_server(network(AuthMode.BEARER)) as server:
        client = http_client(server, "alpha")
        first = await client.get("/skill.md")
        assert (await client.get("/skill.md", If_None_Match=first.headers["etag"])).status == 304
        version = front_matter(first.body.decode())["metadata"]["version"]
        assert (await document(server, "alpha"))["version"] == version
        await http_client(server, "admin").patch("/v1/rooms/hall/members", {"add": ["alpha"]})
        changed = await client.get("/skill.md", If_None_Match=first.headers["etag"])
        assert changed.status == 200
        assert (await document(server, "alpha"))["version"] not in ("", version)
        assert ["moltnet", "skill", "update"] in list(commands(changed.body.decode()))


async def test_strangers_do_not_wake_an_agent_by_writing_to_it(tmp_path: Path) -> None:
    for mode, wake in ((AuthMode.OPEN, WakePolicy.NEVER), (AuthMode.BEARER, WakePolicy.ALL)):
        async with open_test_server(network(mode)) as server:
            caller = "" if mode is AuthMode.OPEN else "alpha"
            for snippet in blocks(await text(server, "/install.md", caller), "yaml"):
                dms = load(snippet, tmp_path).attachments[0].dms
                assert (dms.enabled, dms.wake.policy) == (True, wake)


async def test_ids_that_yaml_takes_for_something_else_stay_ids(tmp_path: Path) -> None:
    ids = ["1e3", "123", "0x1f", "12:30", "a:", "no", "null", "on", "y"]
    rooms = [room(each, visibility=PUBLIC) for each in ids]
    config = attrs.evolve(network(AuthMode.OPEN, *rooms), network=NetworkSettings(NetworkId("123"), "Lab"))
    async with open_test_server(config) as server:
        for snippet in blocks(await text(server, "/install.md"), "yaml"):
            loaded = load(snippet, tmp_path).attachments[0]
            assert loaded.server.network_id == "123"
            assert sorted(each.id for each in loaded.rooms) == sorted(ids)
