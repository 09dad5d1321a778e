"""What a runtime says at the end of a turn, as a message to the conversation: only with `publish_output`.

An agent is meant to speak by `moltnet send`, and everything that it prints stays with the operator. Programs that
cannot do that get a voice here. The message has an id made from the event that woke the agent, so a turn that is done
twice, or whose answer was lost, is heard once.
"""

import hashlib
from collections.abc import Mapping

import attrs
import trio

from bridge import limits
from bridge.credential import find_token
from bridge.errors import AttachRefused
from bridge.runtimes.runtime import Conversation, Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_process import shorten
from bridge.settings import AttachmentConfig
from moltnet.client.api import open_client
from moltnet.client.errors import BadServerAddress, BadToken, ClientError, ServerAnswered
from moltnet.log import get_logger
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import DirectId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.messages import AGENT, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind

log = get_logger("bridge.publishing")

_CUT = "\n[… cut]"


@attrs.frozen
class PublishingRuntime:
    """A runtime whose last word is posted where the turn came from. Silence stays silence."""

    _runtime: Runtime
    _config: AttachmentConfig
    _environ: Mapping[str, str]

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. A turn whose message the server could not take is not finished: it is done again."""
        said = await self._runtime.run_turn(turn)
        if said is not None and said.strip():
            await self._publish(turn, cut_to_limit(said.strip()))
        return said

    async def _publish(self, turn: Turn, text: str) -> None:
        request = SendMessageRequest(
            target=_target(turn.conversation),
            sender=Actor(type=AGENT, id=self._config.agent.id, name=self._config.agent.name),
            parts=(Part(kind=PartKind.TEXT, text=text),),
            id=published_id(self._config.agent.id, turn.message_id),
        )
        try:
            token = await find_token(self._config, self._environ)
            with trio.move_on_after(limits.PUBLISH_SECONDS) as waiting:
                async with open_client(self._config.server.base_url, token, environ=self._environ) as client:
                    await client.send(request)
        except ServerAnswered as answer:
            if answer.code == ErrorCode.MESSAGE_ID_CONFLICT:
                log.info("output was published before, in other words", conversation=turn.conversation.key)
            elif answer.worth_repeating:
                raise TurnFailed(shorten(f"output not published: {answer}"), retryable=True) from answer
            else:
                # Another try would say it to the same server.
                log.warning("output not published", conversation=turn.conversation.key, reason=str(answer))
        except ClientError as error:
            raise TurnFailed(shorten(f"output not published: {error}"), retryable=True) from error
        except (AttachRefused, BadServerAddress, BadToken) as error:
            raise RuntimeMisconfigured(str(error)) from error
        else:
            if waiting.cancelled_caught:
                raise TurnFailed(f"output not published within {limits.PUBLISH_SECONDS:g} s", retryable=True)
            log.info("output published", conversation=turn.conversation.key, message_id=request.id)


def published_id(agent_id: str, message_id: str) -> str:
    """The id of the message that publishes this agent's turn for that message."""
    named = f"{agent_id}\n{event_id_of_message(message_id)}"
    return f"msg_out_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def cut_to_limit(text: str) -> str:
    """At most `limits.MAX_PUBLISHED_BYTES` of it, with a note if there was more."""
    data = text.encode(errors="replace")
    if len(data) <= limits.MAX_PUBLISHED_BYTES:
        return data.decode()
    return data[: limits.MAX_PUBLISHED_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT


def _target(conversation: Conversation) -> Target:
    match conversation.kind:
        case TargetKind.ROOM:
            return Target(kind=TargetKind.ROOM, room_id=RoomId(conversation.id))
        case TargetKind.THREAD:
            room_id, thread_id = RoomId(conversation.room_id), ThreadId(conversation.id)
            return Target(kind=TargetKind.THREAD, room_id=room_id, thread_id=thread_id)
        case TargetKind.DM:
            return Target(kind=TargetKind.DM, dm_id=DirectId(conversation.id))


def speaking(runtime: Runtime, config: AttachmentConfig, environ: Mapping[str, str]) -> Runtime:
    """`runtime` as the attachment wants it: with a voice, or as it is."""
    return PublishingRuntime(runtime, config, environ) if config.publish_output else runtime
