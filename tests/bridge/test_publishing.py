"""Output as a message: only when asked for, once for each wake, and silence stays silence."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, RoomBinding, TokenSource, WakePolicy, WakeRule
from bridge.loop import run_attachment
from bridge.publishing import cut_to_limit, published_id, speaking
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.status import AttachmentState, AttachmentStatus
from moltnet.client import api
from moltnet.client.api import open_client
from moltnet.config.secrets import Secret
from moltnet.config.settings import MoltnetConfig, NetworkSettings, RoomSettings, StorageKind, StorageSettings
from moltnet.protocol.ids import AgentId, NetworkId, RoomId, id_problem
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    Message,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from tests.fakes.attachments import attachment_config
from tests.fakes.http_server import answer, open_scripted_server, silence
from tests.fakes.ports import free_port
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

NET_A = NetworkId("net_a")
ROOM = Conversation(NET_A, TargetKind.ROOM, "general")
GENERAL = Target(kind=TargetKind.ROOM, room_id=RoomId("general"))


@attrs.define(eq=False)
class Talker:
    """A runtime that says `words`, one for each turn."""

    words: list[str | None]

    async def run_turn(self, turn: Turn) -> str | None:
        return self.words.pop(0)


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async with open_running_server(bearer_network()) as base_url:
        yield base_url


def config(base_url: str, directory: Path, **fields: Any) -> AttachmentConfig:
    plain = attachment_config(directory)
    server = attrs.evolve(
        plain.server,
        base_url=base_url,
        network_id=NET_A,
        auth_mode=AuthMode.BEARER,
        token=TokenSource(inline=Secret(ALPHA_TOKEN)),
    )
    agent = attrs.evolve(plain.agent, id=AgentId("alpha"), name="Alpha")
    return attrs.evolve(plain, **{"agent": agent, "server": server, "publish_output": True, **fields})


async def speak(
    config: AttachmentConfig, *words: str | None, message_id: str = "msg_1", to: Conversation = ROOM
) -> None:
    runtime = speaking(Talker(list(words)), config, {})
    for word in words:
        assert await runtime.run_turn(Turn(to, "hello", message_id=message_id)) == word


async def posted(base_url: str, target: Target = GENERAL) -> tuple[Message, ...]:
    async with open_client(base_url, ALPHA_TOKEN, environ={}) as client:
        return (await client.messages(target)).messages


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [part.text for message in messages for part in message.parts]


async def test_what_the_program_says_is_posted_where_the_turn_came_from(base_url: str, tmp_path: Path) -> None:
    await speak(config(base_url, tmp_path), " hello\nyou \n")
    (message,) = await posted(base_url)
    assert message.parts[0].text == "hello\nyou"
    assert (message.sender.id, message.id) == ("alpha", published_id("alpha", "msg_1"))


async def test_by_default_nothing_is_posted(base_url: str, tmp_path: Path) -> None:
    settings = config(base_url, tmp_path, publish_output=False)
    talker = Talker(["hello"])
    assert speaking(talker, settings, {}) is talker
    assert not attachment_config(tmp_path).publish_output


@pytest.mark.parametrize("word", [None, "", " \n"])
async def test_silence_is_not_posted(base_url: str, tmp_path: Path, word: str | None) -> None:
    await speak(config(base_url, tmp_path), word)
    assert await posted(base_url) == ()


async def test_a_turn_that_is_done_twice_is_heard_once(base_url: str, tmp_path: Path) -> None:
    """Weakness 14 of the reference's runtimes: a replay published again."""
    await speak(config(base_url, tmp_path), "hello", "hello", "hello, in other words")
    assert texts(await posted(base_url)) == ["hello"]


async def test_each_wake_and_each_agent_has_a_message_of_its_own(base_url: str, tmp_path: Path) -> None:
    await speak(config(base_url, tmp_path), "one", message_id="msg_1")
    await speak(config(base_url, tmp_path), "two", message_id="msg_2")
    assert texts(await posted(base_url)) == ["one", "two"]
    ids = {published_id(agent, message) for agent in ("a", "b") for message in ("msg_1", "msg_2")}
    assert len(ids) == 4
    assert [id_problem(id) for id in ids] == [None] * 4


async def test_what_is_too_long_is_cut_and_says_so(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weakness 14 of the reference's runtimes: a text over the limit failed without end."""
    monkeypatch.setattr(limits, "MAX_PUBLISHED_BYTES", 100)
    await speak(config(base_url, tmp_path), "é" * 1000)
    (text,) = texts(await posted(base_url))
    assert text.endswith("é\n[… cut]")
    assert len(text.encode()) <= 100
    assert cut_to_limit("short \ud800") == "short ?"


async def test_a_secret_that_the_program_prints_is_not_posted(base_url: str, tmp_path: Path) -> None:
    settings = config(base_url, tmp_path)
    runtime = attrs.evolve(settings.runtime, command=("/bin/sh", "-c", 'echo "mine is $MOLTNET_TOKEN"'))
    async with open_runtime(attrs.evolve(settings, runtime=runtime)) as opened:
        turn = Turn(ROOM, "hello", {"MOLTNET_TOKEN": ALPHA_TOKEN}, message_id="msg_1")
        await speaking(opened, settings, {}).run_turn(turn)
    assert texts(await posted(base_url)) == ["mine is ***"]


async def test_a_refusal_ends_the_turn_all_the_same(base_url: str, tmp_path: Path) -> None:
    await speak(config(base_url, tmp_path), "hello", to=Conversation(NET_A, TargetKind.ROOM, "nowhere"))
    assert await posted(base_url) == ()


@pytest.mark.parametrize("reason", ["refused", "answered 500"])
async def test_a_server_that_cannot_take_it_now_has_the_turn_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(api, "SEND_RETRY_BASE_SECONDS", 2 * limits.PUBLISH_SECONDS)  # no time for a second try
    monkeypatch.setattr(api, "SEND_RETRY_CAP_SECONDS", 4 * limits.PUBLISH_SECONDS)
    if reason == "refused":
        settings = config(f"http://127.0.0.1:{free_port()}", tmp_path)
        with pytest.raises(TurnFailed, match=f"^output not published: .*{reason}") as failure:
            await speak_once(settings)
    else:
        async with open_scripted_server(answer(500)) as server:
            with pytest.raises(TurnFailed, match=f"^output not published: .*{reason}") as failure:
                await speak_once(config(server.url, tmp_path))
    assert failure.value.retryable


async def speak_once(settings: AttachmentConfig) -> None:
    await speaking(Talker(["hello"]), settings, {}).run_turn(Turn(ROOM, "hello", message_id="msg_1"))


async def test_a_server_that_does_not_answer_has_the_turn_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PUBLISH_SECONDS", 0.5)
    async with open_scripted_server(silence()) as server:
        with pytest.raises(TurnFailed, match=r"^output not published"):
            await speak_once(config(server.url, tmp_path))


async def test_a_credential_that_is_gone_parks_the_agent(tmp_path: Path) -> None:
    settings = config("http://127.0.0.1:1", tmp_path)
    server = attrs.evolve(settings.server, token=TokenSource(env="GONE"))
    with pytest.raises(RuntimeMisconfigured, match="GONE"):
        await speak_once(attrs.evolve(settings, server=server))


async def test_an_attachment_that_publishes_answers_what_it_is_asked_and_knows_what_was_said_before(
    tmp_path: Path,
) -> None:
    """The whole way: an event, its context, a turn of a program that knows nothing of Moltnet, a message."""
    prompts = tmp_path / "prompts"
    script = f"cat >> {prompts}; echo 'I am here.'"
    network = MoltnetConfig(
        network=NetworkSettings(NET_A, "Net A"),
        storage=StorageSettings(kind=StorageKind.MEMORY),
        rooms=(RoomSettings(RoomId("general"), "Town Hall", ("alpha", "beta")),),
    )
    drain, status = trio.Event(), AttachmentStatus("alpha", NET_A)
    async with open_running_server(network) as base_url, open_client(base_url, environ={}) as client:
        settings = config(base_url, tmp_path)
        settings = attrs.evolve(
            settings,
            server=attrs.evolve(settings.server, auth_mode=AuthMode.NONE, token=None),
            runtime=attrs.evolve(settings.runtime, command=("/bin/sh", "-c", script)),
            rooms=(RoomBinding(RoomId("general"), WakeRule(WakePolicy.MENTIONS), context_messages=5),),
        )
        run = partial(
            run_attachment, settings, drain=drain, status=status, environ={}, node_slots=trio.CapacityLimiter(4)
        )
        async with client.events() as events, trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while status.state is not AttachmentState.ATTACHED:  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.01)
            for text in ("It rains.", "@alpha, are you there?"):
                await client.send(
                    SendMessageRequest(
                        target=GENERAL,
                        sender=Actor(type=AGENT, id="beta"),
                        parts=(Part(kind=PartKind.TEXT, text=text),),
                    )
                )
            with trio.fail_after(30):
                async for event in events:
                    if event.message is not None and event.message.sender.id == "alpha":
                        break
            drain.set()
    assert event.message is not None
    assert event.message.parts[0].text == "I am here."
    quoted = [line for line in prompts.read_text().splitlines() if line.startswith(("> ", "---", "Reason"))]
    assert quoted == [
        "--- Earlier 1/1 ---",
        "> It rains.",
        "--- Message 1/1 ---",
        "Reason: mention",
        "> @alpha, are you there?",
    ]
