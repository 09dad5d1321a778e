import attrs
import pytest
import trio
import trio.testing

from moltnet.app import App
from moltnet.auth.claims import UNCHECKED
from moltnet.config.settings import AuthMode
from moltnet.core.access import Viewer
from moltnet.core.agents import register_agent
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused, TooLarge
from moltnet.core.history import direct_messages, list_directs, readable_direct, room_messages
from moltnet.core.rooms import update_members
from moltnet.protocol import limits
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.codec import decode, encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.frames import event_frame_text
from moltnet.protocol.ids import event_id_of_message
from moltnet.protocol.messages import HUMAN, Actor, Message, MessageOrigin, Part, PartKind, SendMessageRequest
from moltnet.protocol.pages import MessagePage, PageRequest
from moltnet.protocol.rooms import UpdateRoomMembersRequest
from tests.fakes.credentials import agent_token, static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import (
    NETWORK,
    direct_message,
    event_types,
    network_config,
    open_test_app,
    post,
    room,
    room_message,
    thread_message,
    token,
)

EVERYTHING = Viewer(all_conversations=True, all_reports=True)


async def messages_of(app: App, room_id: str = "general") -> tuple[Message, ...]:
    page = await room_messages(app.context, room_id, EVERYTHING, PageRequest(limit=500))
    return decode(page, MessagePage).messages


async def refusal(app: App, request: SendMessageRequest) -> Refused:
    with pytest.raises(Refused) as caught:
        await post(app, request)
    return caught.value


class TestTheSameIdAgain:
    async def test_with_the_same_content_gives_the_first_answer_and_stores_nothing(self) -> None:
        async with open_test_app() as app:
            first = await post(app, room_message("hello", message_id="m1"))
            again = await post(app, room_message("hello", message_id="m1"))
            assert first == again
            assert first.event_id == event_id_of_message("m1")
            assert len(await messages_of(app)) == 1
            assert (await event_types(app)).count("message.created") == 1

    @pytest.mark.parametrize(
        "other",
        [
            room_message("other", message_id="m1"),
            room_message("hello", message_id="m1", sender="beta"),
            room_message("hello", message_id="m1", sender_type=HUMAN),
            room_message("hello", message_id="m1", room="second"),
            room_message("hello", message_id="m1", mentions=["beta"]),
            thread_message("t1", "hello", message_id="m1"),
            direct_message("d1", "alpha", "beta", text="hello", message_id="m1"),
        ],
        ids=["text", "sender", "kind of sender", "room", "mentions", "thread", "direct"],
    )
    async def test_with_other_content_is_a_conflict(self, other: SendMessageRequest) -> None:
        config = network_config(rooms=[room("general", "alpha", "beta"), room("second", "alpha")])
        async with open_test_app(config) as app:
            await post(app, room_message("hello", message_id="m1"))
            refused = await refusal(app, other)
            assert isinstance(refused, Conflict)
            assert refused.code is ErrorCode.MESSAGE_ID_CONFLICT
            assert [message.parts[0].text for message in await messages_of(app)] == ["hello"]

    async def test_is_the_same_although_membership_and_names_have_changed(self) -> None:
        async with open_test_app() as app:
            first = await post(app, room_message("hello @gamma", message_id="m1"))
            await update_members(app.context, "general", UpdateRoomMembersRequest(add=("gamma",)))
            await register_agent(app.context, RegisterAgentRequest("alpha", "New Name"), UNCHECKED)
            assert await post(app, room_message("hello @gamma", message_id="m1")) == first

    async def test_at_the_same_moment_is_stored_once(self) -> None:
        async with open_test_app() as app:
            answers = []

            async def send() -> None:
                answers.append(await post(app, room_message("hello", message_id="m1")))

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(send)
            assert len(answers) == 20
            assert len(set(answers)) == 1
            assert len(await messages_of(app)) == 1

    async def test_still_asks_who_sends(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=[token("alpha", "write", "alpha")])
        async with open_test_app(config) as app:
            await post(app, room_message("hello", message_id="m1"), static("write", "alpha", token_id="alpha"))
            with pytest.raises(Forbidden):
                await post(app, room_message("hello", message_id="m1"), agent_token("beta"))


class TestSize:
    async def test_a_message_that_just_fits_can_be_delivered_in_one_frame(self) -> None:
        async with open_test_app() as app:
            await post(app, room_message("x", message_id="m0"))
            around = len(encode((await messages_of(app))[0])) - 1
            # The time of receipt may be written with fewer digits, so a few bytes are left.
            most = limits.MAX_FRAME_BYTES - 2 * limits.KIB - around
            await post(app, room_message("x" * (most - 8), message_id="m1"))
            assert isinstance(await refusal(app, room_message("x" * (most + 8), message_id="m2")), TooLarge)
            (record,) = await app.context.store.events_after(2, 10)
            frame = event_frame_text(NETWORK, record.id, record.wire)
            assert limits.MAX_FRAME_BYTES - 3 * limits.KIB < len(frame.encode()) <= limits.MAX_FRAME_BYTES

    async def test_a_message_whose_frame_would_be_too_large_is_refused(self) -> None:
        async with open_test_app() as app:
            refused = await refusal(app, room_message("x" * limits.MAX_FRAME_BYTES))
            assert isinstance(refused, TooLarge)
            assert refused.code is ErrorCode.MESSAGE_TOO_LARGE
            assert await messages_of(app) == ()

    async def test_what_grows_when_it_is_written_as_json_is_measured_as_written(self) -> None:
        async with open_test_app() as app:
            assert isinstance(await refusal(app, room_message("\u0001" * (limits.MAX_FRAME_BYTES // 5))), TooLarge)

    async def test_data_that_a_reader_could_not_decode_for_its_depth_is_refused(self) -> None:
        def nested(levels: int) -> SendMessageRequest:
            data: dict[str, object] = {}
            for _ in range(levels - 1):
                data = {"deeper": data}
            return attrs.evolve(room_message(message_id=f"m{levels}"), parts=(Part(kind=PartKind.DATA, data=data),))

        async with open_test_app() as app:
            assert isinstance(await refusal(app, nested(limits.MAX_DATA_DEPTH + 1)), Invalid)
            await post(app, nested(limits.MAX_DATA_DEPTH))
            assert len(await messages_of(app)) == 1  # the page that wraps it can be read


class TestDirectConversations:
    async def test_the_sender_must_take_part(self) -> None:
        async with open_test_app() as app:
            refused = await refusal(app, direct_message("d1", "beta", "gamma", sender="alpha"))
            assert isinstance(refused, Forbidden)
            assert refused.code is ErrorCode.NOT_A_PARTICIPANT
            assert refused.message.endswith('"d1"')

    async def test_nobody_brings_in_themselves(self) -> None:
        async with open_test_app() as app:
            await post(app, direct_message("d1", "alpha", "beta"))
            refused = await refusal(app, direct_message("d1", "alpha", "beta", "eve", sender="eve"))
            assert refused.code is ErrorCode.NOT_A_PARTICIPANT
            direct = await readable_direct(app.context, "d1", EVERYTHING)
            assert (direct.participant_ids, direct.message_count) == (("alpha", "beta"), 1)

    async def test_a_participant_may_bring_in_another(self) -> None:
        async with open_test_app() as app:
            assert (await post(app, direct_message("d1", "alpha", "beta"))).dm_created
            assert not (await post(app, direct_message("d1", "alpha", "beta", "gamma", sender="beta"))).dm_created
            direct = await readable_direct(app.context, "d1", EVERYTHING)
            assert (direct.participant_ids, direct.message_count) == (("alpha", "beta", "gamma"), 2)

    async def test_nobody_is_dropped_from_a_mix_of_local_and_remote_participants(self) -> None:
        async with open_test_app() as app:
            await post(app, direct_message("d1", "alpha", "net_b:beta", f"{NETWORK}:zeta", sender="zeta"))
            direct = await readable_direct(app.context, "d1", EVERYTHING)
            assert direct.participant_ids == ("alpha", "net_b:beta", "zeta")

    async def test_one_agent_in_two_spellings_is_nobody_to_talk_to(self) -> None:
        async with open_test_app() as app:
            await post(app, direct_message("d1", "alpha", "beta"))
            refused = await refusal(app, direct_message("d1", "beta", f"molt://{NETWORK}/agents/beta"))
            assert isinstance(refused, Invalid)
            assert "two different participants" in str(refused)

    async def test_one_participant_in_several_spellings_is_one(self) -> None:
        async with open_test_app() as app:
            await post(app, direct_message("d1", "alpha", f"{NETWORK}:alpha", f"molt://{NETWORK}/agents/beta"))
            page = decode(await direct_messages(app.context, "d1", EVERYTHING, PageRequest()), MessagePage)
            assert page.messages[0].target.participant_ids == ("alpha", "beta")

    async def test_they_do_not_grow_without_end(self) -> None:
        async with open_test_app() as app:
            everybody = [f"agent-{number}" for number in range(limits.MAX_PARTICIPANTS - 1)]
            await post(app, direct_message("d1", "alpha", *everybody))
            refused = await refusal(app, direct_message("d1", "alpha", "one-too-many"))
            assert isinstance(refused, Invalid)
            assert "use a room" in refused.message

    async def test_they_can_be_switched_off(self) -> None:
        async with open_test_app(network_config(direct_messages=False)) as app:
            refused = await refusal(app, direct_message("d1", "alpha", "beta"))
            assert refused.code is ErrorCode.DIRECT_MESSAGES_DISABLED
            with pytest.raises(Forbidden, match="disabled"):
                await list_directs(app.context, EVERYTHING, PageRequest())


class TestRoomsAndThreads:
    async def test_a_thread_stays_in_its_room(self) -> None:
        config = network_config(rooms=[room("private", "alpha"), room("public", "alpha")])
        async with open_test_app(config) as app:
            assert (await post(app, thread_message("t1", room="private"))).thread_created
            refused = await refusal(app, thread_message("t1", room="public"))
            assert isinstance(refused, Conflict)
            assert refused.code is ErrorCode.THREAD_IN_OTHER_ROOM
            assert not (await post(app, thread_message("t1", room="private"))).thread_created

    @pytest.mark.parametrize("message", [room_message(room="unheard-of"), thread_message("t1", room="unheard-of")])
    async def test_an_unknown_room_is_named(self, message: SendMessageRequest) -> None:
        async with open_test_app() as app:
            refused = await refusal(app, message)
            assert isinstance(refused, NotFound)
            assert (refused.code, refused.message) == (ErrorCode.UNKNOWN_ROOM, 'unknown room "unheard-of"')

    async def test_the_write_policy_counts(self) -> None:
        tokens = [token("a", "write", "alpha"), token("b", "write", "beta")]
        config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=[room("general", "alpha")])
        async with open_test_app(config) as app:
            await post(app, room_message(sender="alpha"), static("write", "alpha", token_id="a"))
            for request in (room_message(sender="beta"), thread_message("t1", sender="beta")):
                with pytest.raises(Forbidden) as caught:
                    await post(app, request, static("write", "beta", token_id="b"))
                assert caught.value.code is ErrorCode.ROOM_WRITE_FORBIDDEN

    async def test_fields_that_the_kind_of_target_does_not_have_are_not_stored(self) -> None:
        async with open_test_app() as app:
            request = room_message("hello")
            await post(app, attrs.evolve(request, target=attrs.evolve(request.target, participant_ids=("eve", "eva"))))
            (message,) = await messages_of(app)
            assert message.target == request.target

    async def test_blanks_around_ids_are_not_stored(self) -> None:
        async with open_test_app() as app:
            await post(app, room_message("hello", room="  general ", sender=" alpha ", message_id=" m1 "))
            (message,) = await messages_of(app)
            assert (message.id, message.target.room_id, message.sender.id) == ("m1", "general", "alpha")


class TestWhatIsStored:
    async def test_the_server_says_who_sent_it(self) -> None:
        async with open_test_app() as app:
            await register_agent(app.context, RegisterAgentRequest("alpha", "Alpha"), UNCHECKED)
            claimed = Actor(id="alpha", name="Omega", fqid=f"molt://{NETWORK}/agents/omega")
            await post(app, attrs.evolve(room_message(), sender=claimed))
            (message,) = await messages_of(app)
            assert message.sender == Actor("agent", "alpha", "Alpha", NETWORK, f"molt://{NETWORK}/agents/alpha")

    async def test_a_local_sender_cannot_forge_the_origin(self) -> None:
        async with open_test_app() as app:
            claimed = (MessageOrigin(), MessageOrigin("", "forged"), MessageOrigin(NETWORK, "x"))
            for number, origin in enumerate(claimed):
                await post(app, attrs.evolve(room_message(message_id=f"m{number}"), origin=origin))
            origins = [message.origin for message in await messages_of(app)]
            assert origins == [MessageOrigin(NETWORK, f"m{number}") for number in range(3)]

    async def test_a_relayed_message_keeps_its_origin_if_that_is_well_formed(self) -> None:
        tokens = [token("pair", "pair")]
        config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=[room("general", "net_b:beta")])
        sender = Actor(type="agent", id="beta", network_id="net_b")
        async with open_test_app(config) as app:
            request = attrs.evolve(room_message(message_id="m1"), sender=sender, origin=MessageOrigin("net_b", "r1"))
            await post(app, request, static("pair"))
            (message,) = await messages_of(app)
            assert message.origin == MessageOrigin("net_b", "r1")
            assert message.sender.fqid == "molt://net_b/agents/beta"
            for origin in (MessageOrigin("net b", "r1"), MessageOrigin("net_b", '"}')):
                with pytest.raises(Invalid):
                    await post(app, attrs.evolve(request, origin=origin), static("pair"))

    async def test_events_come_in_the_order_of_their_causes(self) -> None:
        async with open_test_app(network_config(rooms=[room("general", "alpha")])) as app:
            await post(app, thread_message("t1"))
            await post(app, direct_message("d1", "alpha", "beta"))
            assert await event_types(app) == [
                "room.created",
                "thread.created",
                "message.created",
                "dm.created",
                "message.created",
            ]


async def test_what_is_wrong_with_a_request_is_told_field_by_field() -> None:
    async with open_test_app() as app:
        request = attrs.evolve(
            room_message(sender="not an id", message_id="-"), parts=(Part(kind="poem"), Part(kind="url", url="ftp://x"))
        )
        refused = await refusal(app, request)
        assert isinstance(refused, Invalid)
        assert [problem.path for problem in refused.problems] == [
            "$.from.id",
            "$.parts[0].kind",
            "$.parts[1].url",
            "$.id",
        ]


async def test_a_sender_that_is_cancelled_after_it_queued_has_still_sent() -> None:
    store = FaultyStore()
    async with open_test_app(store=store) as app:
        store.hold()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, app, room_message("hello", message_id="m1"))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        store.release()
        await trio.testing.wait_all_tasks_blocked()
        assert [message.id for message in await messages_of(app)] == ["m1"]
        # So the retry is harmless.
        assert (await post(app, room_message("hello", message_id="m1"))).event_id == event_id_of_message("m1")
