"""An agent behind an emulated gateway, and what that may answer: shared by the tests beside this file."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import trio

from bridge.config import RuntimeKind
from bridge.runtimes.openclaw.runtime import RUNS_FILE
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Runtime, Turn
from bridge.sessions import SessionStore
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.openclaw_gateway import Asked, EmulatedGateway, Handler, Refuse

ROOM: Final = Conversation("net", TargetKind.ROOM, "general")
OTHER: Final = Conversation("net", TargetKind.DM, "d1")
KEY: Final = "agent:main:moltnet:net:room:general"


class Agent:
    def __init__(self, directory: Path, gateway: EmulatedGateway) -> None:
        self._directory, self._url = directory, gateway.url
        self.runs = SessionStore(directory / "state" / RUNS_FILE)

    def open(self, **runtime: Any) -> AbstractAsyncContextManager[Runtime]:
        options = {"gateway_url": self._url, "token": Secret("secret"), **runtime}
        return open_runtime(attachment_config(self._directory, RuntimeKind.OPENCLAW, **options))


def turn(prompt: str = "hello", conversation: Conversation = ROOM, message_id: str = "msg_1") -> Turn:
    return Turn(conversation, prompt, message_id=message_id)


def once(first: Handler, then: Handler) -> Handler:
    """A handler that is another one after its first use."""
    handlers = iter([first])

    async def handle(asked: Asked) -> Mapping[str, Any]:
        return await next(handlers, then)(asked)

    return handle


def refusing(code: str, **error: Any) -> Handler:
    async def refuse(asked: Asked) -> Mapping[str, Any]:
        raise Refuse(code, **error)

    return refuse


def answering(**payload: Any) -> Handler:
    async def answer(asked: Asked) -> Mapping[str, Any]:
        return payload

    return answer


async def close(asked: Asked) -> Mapping[str, Any]:
    await asked.connection.aclose()
    return await trio.sleep_forever()


async def silence(asked: Asked) -> Mapping[str, Any]:
    return await trio.sleep_forever()
