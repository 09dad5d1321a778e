"""Examples of the document: values of the wire, written by the codec, so they look as the server's own answers do."""

from collections.abc import Iterator
from typing import Any, Final

from moltnet import __version__
from moltnet.protocol.administration import ApplyAgent, ApplyRequest, ApplyResult, RemovedKind, RemoveResult
from moltnet.protocol.agents import AgentRegistration, AgentSummary, MuteRequest, RegisterAgentRequest
from moltnet.protocol.approvals import (
    Approval,
    ApprovalPage,
    ApprovalState,
    DecisionRequest,
    RequestApprovalRequest,
    approval_id_of,
)
from moltnet.protocol.artifacts import artifacts_of
from moltnet.protocol.codec import unstructure
from moltnet.protocol.credentials import ConfiguredToken, TokenPage
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.identity import agent_fqid, direct_fqid, room_fqid, thread_fqid
from moltnet.protocol.ids import (
    ActorUid,
    AgentId,
    DirectId,
    MessageId,
    NetworkId,
    RoomId,
    ThreadId,
    event_id_of_message,
)
from moltnet.protocol.invitations import AcceptInvitationRequest, InvitationAccepted
from moltnet.protocol.lookups import EventPage, FoundMessages
from moltnet.protocol.messages import (
    AGENT,
    HUMAN,
    Actor,
    Message,
    MessageAccepted,
    MessageOrigin,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from moltnet.protocol.network import SPOKEN_PROTOCOLS, Capabilities, Console, Network
from moltnet.protocol.pages import (
    AgentPage,
    ArtifactPage,
    DirectPage,
    MessagePage,
    PageInfo,
    PairingPage,
    RoomPage,
    ThreadPage,
)
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    DirectConversation,
    RestoreRoomRequest,
    Room,
    RoomAccess,
    Thread,
    UpdateRoomMembersRequest,
    UpdateRoomRequest,
    Visibility,
)
from moltnet.protocol.sessions import SignInRequest
from moltnet.protocol.times import Timestamp

_LAB: Final = NetworkId("lab")
_GENERAL: Final = RoomId("general")
_THEN: Final = Timestamp("2026-11-20T07:53:37.349806Z")
_BUILD: Final = MessageId("build-4711")
_TARGET: Final = Target(kind=TargetKind.ROOM, room_id=_GENERAL)
_PARTS: Final = (
    Part(kind=PartKind.TEXT, text="@clerk what broke the build?"),
    Part(kind=PartKind.FILE, url="https://example.com/log.txt", filename="log.txt", media_type="text/plain"),
)
_MESSAGE: Final = Message(
    id=_BUILD,
    network_id=_LAB,
    origin=MessageOrigin(_LAB, _BUILD),
    target=_TARGET,
    sender=Actor(type=HUMAN, id="ada", name="Ada", network_id=_LAB, fqid=agent_fqid(_LAB, "ada")),
    parts=_PARTS,
    created_at=_THEN,
    mentions=(agent_fqid(_LAB, "clerk"),),
)
_ROOM: Final = Room(
    id=_GENERAL,
    network_id=_LAB,
    fqid=room_fqid(_LAB, _GENERAL),
    name="General",
    created_at=_THEN,
    members=("clerk", "net_b:scout"),
    visibility=Visibility.PUBLIC,
    access=RoomAccess(can_read=True, can_write=True, reason="public-read/members-write"),
)
_THREAD: Final = Thread(
    id=ThreadId("review-7"),
    network_id=_LAB,
    fqid=thread_fqid(_LAB, ThreadId("review-7")),
    room_id=_GENERAL,
    message_count=3,
    last_message_at=_THEN,
    parent_message_id=_BUILD,
)
_DIRECT: Final = DirectConversation(
    id=DirectId("ada-clerk"),
    network_id=_LAB,
    fqid=direct_fqid(_LAB, DirectId("ada-clerk")),
    message_count=2,
    last_message_at=_THEN,
    participant_ids=("ada", "clerk"),
)
_UID: Final = ActorUid("actor_1e1bbcd8-8a4c-49ee-b39f-158e38734014")
_CLERK: Final = AgentSummary(
    id=AgentId("clerk"),
    network_id=_LAB,
    connected=True,
    name="Clerk",
    actor_uid=_UID,
    fqid=agent_fqid(_LAB, "clerk"),
    rooms=(_GENERAL,),
    last_seen_at=_THEN,
    runtime="codex",
    host="build-7",
)
_REGISTERED: Final = AgentRegistration(
    network_id=_LAB,
    agent_id=AgentId("clerk"),
    actor_uid=_UID,
    actor_uri=agent_fqid(_LAB, "clerk"),
    created_at=_THEN,
    updated_at=_THEN,
    display_name="Clerk",
)
_APPROVAL: Final = Approval(
    id=approval_id_of("clerk", event_id_of_message(_BUILD)),
    agent_id=AgentId("clerk"),
    event_id=event_id_of_message(_BUILD),
    message_id=_BUILD,
    state=ApprovalState.PENDING,
    requested_at=_THEN,
    expires_at=Timestamp("2026-11-21T07:53:37.349806Z"),
    sender=agent_fqid(_LAB, "ada"),
    target=_TARGET,
    reason="mention",
)
_EVENT: Final = Event(event_id_of_message(_BUILD), EventType.MESSAGE_CREATED, _LAB, _THEN, message=_MESSAGE)
_LAST: Final = PageInfo()

ANSWER_VALUES: Final[tuple[object, ...]] = (
    Network(
        id=_LAB,
        name="Lab",
        version=__version__,
        protocols=SPOKEN_PROTOCOLS,
        capabilities=Capabilities(
            event_stream="sse",
            attachment_protocol="websocket",
            agent_registration="disabled",
            human_ingress=True,
            direct_messages=True,
            message_pagination="cursor",
        ),
        console=Console(can_send_human=True),
    ),
    MessageAccepted(_BUILD, event_id_of_message(_BUILD)),
    MessagePage((_MESSAGE,), PageInfo(has_more=True, next_before=_BUILD)),
    _ROOM,
    RoomPage((_ROOM,), _LAST),
    _THREAD,
    ThreadPage((_THREAD,), _LAST),
    _DIRECT,
    DirectPage((_DIRECT,), _LAST),
    ArtifactPage(artifacts_of(_MESSAGE), _LAST),
    _CLERK,
    AgentPage((_CLERK,), _LAST),
    _REGISTERED,
    PairingPage(
        (Pairing(id="partner", remote_network_id="net_b", remote_base_url="https://net-b.example.com"),), _LAST
    ),
    _APPROVAL,
    ApprovalPage((_APPROVAL,), _LAST),
    RemoveResult(RemovedKind.ROOM, _GENERAL),
    ApplyResult(agents=(_REGISTERED,)),
    TokenPage((ConfiguredToken("operator", ("admin", "observe"), expires_at=_THEN),), _LAST),
    _EVENT,
    FoundMessages((_MESSAGE,), 4096, _THEN, PageInfo(has_more=True, next_before=_BUILD)),
    EventPage((_EVENT,), PageInfo(has_more=True, next_before=event_id_of_message(_BUILD))),
)

REQUEST_VALUES: Final[tuple[object, ...]] = (
    SendMessageRequest(id=_BUILD, target=_TARGET, sender=Actor(type=HUMAN, id="ada", name="Ada"), parts=_PARTS),
    CreateRoomRequest(id="ops", name="Operations", members=("clerk",)),
    RestoreRoomRequest(members=("clerk",)),
    UpdateRoomRequest(name="Operations", visibility=Visibility.PUBLIC),
    MuteRequest("It repeats itself.", minutes=60),
    UpdateRoomMembersRequest(add=("scout",), remove=("clerk",)),
    RegisterAgentRequest(requested_agent_id="atlas", name="Atlas"),
    RequestApprovalRequest(event_id_of_message(_BUILD), "mention", 3600),
    DecisionRequest("Ada may ask that."),
    SignInRequest(token="a token of the configuration"),
    AcceptInvitationRequest(
        invitation_id="3f0c9a51d2e84b67",
        secret="the secret of the invitation",
        network_id="net_b",
        network_name="Net B",
        base_url="https://net-b.example.com",
        token="what net_b will present here",
        reply_token="what net_b wants to be presented with",
        rooms=("general",),
    ),
    InvitationAccepted("lab", "Lab", "net_b", ("general",)),
    ApplyRequest(
        rooms=(CreateRoomRequest(id="ops", name="Operations", members=("clerk",)),),
        agents=(ApplyAgent(id="clerk", name="Clerk", credential_key="token:clerk"),),
    ),
)
# A message to a room, to a thread and between two, as every sender needs them.
MORE_MESSAGES: Final = {
    "thread": SendMessageRequest(
        target=Target(
            kind=TargetKind.THREAD, room_id=_GENERAL, thread_id=ThreadId("review-7"), parent_message_id=_BUILD
        ),
        sender=Actor(type=AGENT, id="clerk"),
        parts=(Part(kind=PartKind.TEXT, text="A missing file."),),
    ),
    "direct": SendMessageRequest(
        target=Target(kind=TargetKind.DM, dm_id=DirectId("ada-clerk"), participant_ids=("ada", "clerk")),
        sender=Actor(type=HUMAN, id="ada"),
        parts=(Part(kind=PartKind.DATA, data={"build": 4711, "passed": False}),),
    ),
}


def example_of(kind: type) -> Any:
    """The example of a class as plain JSON, or None."""
    for value in (*ANSWER_VALUES, *REQUEST_VALUES):
        if type(value) is kind:
            return unstructure(value)
    return None


def examples_of_request(kind: type) -> Iterator[tuple[str, Any]]:
    """Examples of a body, each with a name."""
    if (example := example_of(kind)) is None:
        return
    if kind is not SendMessageRequest:
        yield "example", example
        return
    yield "room", example
    yield from ((name, unstructure(value)) for name, value in MORE_MESSAGES.items())
