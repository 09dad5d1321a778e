"""Agents behind a control URL: PicoClaw and TinyClaw can be reached so."""

from pathlib import Path
from typing import Any

import pytest

from bridge.config import AttachmentConfig, RuntimeKind
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.http_server import Reply, ScriptedServer, answer, open_scripted_server, raw, silence
from tests.fakes.ports import free_port

THREAD = Conversation("net", TargetKind.THREAD, "t1", "general")
KINDS = [RuntimeKind.PICOCLAW, RuntimeKind.TINYCLAW]


def config(url: str, directory: Path, kind: RuntimeKind = RuntimeKind.PICOCLAW, **runtime: Any) -> AttachmentConfig:
    return attachment_config(directory, kind, control_url=f"{url}/control?x=1", **{"turn_seconds": 10.0, **runtime})


async def run(server: ScriptedServer, directory: Path, **fields: Any) -> str | None:
    async with open_runtime(config(server.url, directory, **fields)) as runtime:
        return await runtime.run_turn(Turn(THREAD, "hellö", sender="molt://net/agents/alpha"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_is_one_request_and_its_answer(tmp_path: Path, kind: RuntimeKind) -> None:
    async with open_scripted_server(answer(200, {"from": "pico", "message": "done"})) as server:
        assert await run(server, tmp_path, kind=kind, token=Secret("t-1")) == "done"
    (request,) = server.requests
    assert (request.method, request.target, request.headers["authorization"]) == (
        "POST",
        "/control?x=1",
        "Bearer t-1",
    )
    assert request.json() == {
        "context_id": "moltnet:net:thread:t1",
        "from": "molt://net/agents/alpha",
        "message": "hellö",
        "to": "agent-1",
    }


@pytest.mark.parametrize("body", [b"", b"no JSON", [], {"message": 5}, {}])
async def test_an_answer_without_a_message_is_a_finished_turn(tmp_path: Path, body: object) -> None:
    """The reference asks again, and the agent does its turn again."""
    async with open_scripted_server(answer(200, body)) as server:
        assert await run(server, tmp_path) is None


@pytest.mark.parametrize(
    ("reply", "reason", "retryable"),
    [
        (answer(400, {"error": "no such context"}), "answered 400: no such context", False),
        (answer(429), "answered 429", True),
        (answer(500, b"<h1>Oh\n no</h1>"), "answered 500: <h1>Oh  no</h1>", True),
        (answer(502, {"message": "model is down"}), "answered 502: model is down", True),
        (raw(b"no HTTP at all\r\n\r\n", close=True), "127.0.0.1", True),
        (raw(b"", close=True), "127.0.0.1", True),
    ],
)
async def test_an_error_answer_fails_the_turn(tmp_path: Path, reply: Reply, reason: str, retryable: bool) -> None:
    async with open_scripted_server(reply) as server:
        with pytest.raises(TurnFailed, match=reason) as failure:
            await run(server, tmp_path)
    assert failure.value.retryable is retryable


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_parks_the_agent(tmp_path: Path, status: int) -> None:
    async with open_scripted_server(answer(status)) as server:
        with pytest.raises(RuntimeMisconfigured, match=f"answered {status}; look at"):
            await run(server, tmp_path)


async def test_an_agent_that_never_answers_is_given_up_at_the_turn_limit(tmp_path: Path) -> None:
    async with open_scripted_server(silence()) as server:
        with pytest.raises(TurnFailed, match=r"^no answer within 0\.5 s$") as failure:
            await run(server, tmp_path, turn_seconds=0.5)
    assert failure.value.retryable


async def test_an_agent_that_is_not_there_may_come(tmp_path: Path) -> None:
    async with open_runtime(config(f"http://127.0.0.1:{free_port()}", tmp_path)) as runtime:
        with pytest.raises(TurnFailed, match="refused") as failure:
            await runtime.run_turn(Turn(THREAD, "hello"))
    assert failure.value.retryable


async def test_a_token_that_no_header_holds_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^runtime\.token has characters") as refused:
        async with open_runtime(config("http://127.0.0.1:1", tmp_path, token=Secret("a\nb"))):
            pass
    assert "a\nb" not in refused.value.reason
