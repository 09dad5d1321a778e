"""Operations on conversations: messages, rooms, threads, direct conversations, artifacts."""

from typing import Final

from moltnet.http.openapi.operation import (
    ADMINS,
    ARTIFACT_CURSOR,
    LISTERS,
    PARTICIPANTS,
    READERS,
    SENDERS,
    STORED,
    Link,
    Operation,
    Success,
    Tag,
    in_path,
    in_query,
    kept,
    paged,
    paged_messages,
)
from moltnet.protocol.administration import RemoveResult
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.messages import MessageAccepted, SendMessageRequest
from moltnet.protocol.pages import (
    ArtifactPage,
    DirectPage,
    MessagePage,
    RoomPage,
    ThreadPage,
)
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    DirectConversation,
    RestoreRoomRequest,
    Room,
    Thread,
    UpdateRoomMembersRequest,
    UpdateRoomRequest,
)

_ROOM_ID: Final = in_path("room_id", "The room.", "general")
_THREAD_ID: Final = in_path("thread_id", "The thread.", "review-7")
_DM_ID: Final = in_path("dm_id", "The direct conversation.", "ada-clerk")

_NO_ROOM: Final = {404: (ErrorCode.UNKNOWN_ROOM,)}
_NO_READABLE_ROOM: Final = {**_NO_ROOM, 403: (ErrorCode.NOT_READABLE,)}
_NO_THREAD: Final = {404: (ErrorCode.UNKNOWN_THREAD, ErrorCode.UNKNOWN_ROOM), 403: (ErrorCode.NOT_READABLE,), **STORED}
_DIRECTS_OFF: Final = {403: (ErrorCode.DIRECT_MESSAGES_DISABLED,), **STORED}
_NO_DIRECT: Final = {404: (ErrorCode.UNKNOWN_DIRECT_CONVERSATION,), **_DIRECTS_OFF}

_THE_ROOM: Final = {"room_id": "$response.body#/id"}
_SAME_ROOM: Final = {"room_id": "$request.path.room_id"}
_OLDER: Final = {"before": "$response.body#/page/next_before"}
_FOLLOWING: Final = {"after": "$response.body#/page/next_after"}

CONVERSATION_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "sendMessage",
        "POST",
        "/v1/messages",
        Tag.MESSAGES,
        "Send a message",
        SENDERS,
        (Success(202, "It is stored, with its event, and survives a crash of the server.", MessageAccepted),),
        description="To a room, to a thread of a room, or to a direct conversation; threads and direct conversations "
        "are made by their first message. Sent again under the same `id`, the same message gives the same answer and "
        "is stored once.",
        takes=SendMessageRequest,
        refusals={
            401: (ErrorCode.AGENT_NOT_REGISTERED,),
            403: (
                ErrorCode.AGENT_NOT_ALLOWED,
                ErrorCode.AGENT_NOT_REGISTERED,
                ErrorCode.AGENT_MUTED,
                ErrorCode.REMOTE_ACTOR_FORBIDDEN,
                ErrorCode.HUMAN_INGRESS_DISABLED,
                ErrorCode.DIRECT_MESSAGES_DISABLED,
                ErrorCode.ROOM_WRITE_FORBIDDEN,
                ErrorCode.NOT_A_PARTICIPANT,
            ),
            404: (ErrorCode.UNKNOWN_ROOM,),
            409: (
                ErrorCode.MESSAGE_ID_CONFLICT,
                ErrorCode.THREAD_IN_OTHER_ROOM,
                ErrorCode.AGENT_OWNED_BY_OTHER,
            ),
            413: (ErrorCode.MESSAGE_TOO_LARGE,),
        },
        links=(
            Link("listRoomMessages", {"room_id": "$request.body#/target/room_id"}),
            Link("showThread", {"thread_id": "$request.body#/target/thread_id"}),
            Link("listThreadMessages", {"thread_id": "$request.body#/target/thread_id"}),
            Link("showDirectConversation", {"dm_id": "$request.body#/target/dm_id"}),
            Link("listDirectMessages", {"dm_id": "$request.body#/target/dm_id"}),
        ),
    ),
    Operation(
        "listRooms",
        "GET",
        "/v1/rooms",
        Tag.ROOMS,
        "Rooms that the caller may read, by id",
        LISTERS,
        (kept("A page of rooms.", RoomPage),),
        description="With `removed=true`, for `admin`, those that were removed, with `removed_at`: `restoreRoom` "
        "brings them back.",
        parameters=(
            in_query("removed", "Whether removed rooms are wanted: `true`.", {"type": "string"}),
            *paged(),
        ),
        refusals=STORED,
        links=(Link("listRooms", _FOLLOWING),),
    ),
    Operation(
        "createRoom",
        "POST",
        "/v1/rooms",
        Tag.ROOMS,
        "Make a room",
        ADMINS,
        (Success(201, "The new room.", Room),),
        takes=CreateRoomRequest,
        refusals={409: (ErrorCode.ROOM_EXISTS, ErrorCode.ROOM_REMOVED)},
        links=(
            Link("showRoom", _THE_ROOM),
            Link("updateRoomMembers", _THE_ROOM),
            Link("listRoomMessages", _THE_ROOM),
            Link("removeRoom", _THE_ROOM),
        ),
    ),
    Operation(
        "showRoom",
        "GET",
        "/v1/rooms/{room_id}",
        Tag.ROOMS,
        "One room",
        READERS,
        (kept("The room, with what the caller may do in it.", Room),),
        parameters=(_ROOM_ID,),
        refusals=_NO_READABLE_ROOM,
    ),
    Operation(
        "updateRoom",
        "PATCH",
        "/v1/rooms/{room_id}",
        Tag.ROOMS,
        "Change what a room is called, who sees it and who may write",
        ADMINS,
        (Success(200, "The room as it is now.", Room),),
        description="What the request does not name stays. A start with the same configuration leaves the room as it "
        "is then.",
        parameters=(_ROOM_ID,),
        takes=UpdateRoomRequest,
        refusals=_NO_ROOM,
        links=(Link("showRoom", _THE_ROOM),),
    ),
    Operation(
        "removeRoom",
        "DELETE",
        "/v1/rooms/{room_id}",
        Tag.ROOMS,
        "Remove a room",
        ADMINS,
        (Success(200, "It is removed.", RemoveResult),),
        description="The room and its threads are not found any more, its members are gone, and its messages stay. Its "
        "id stays taken; `restoreRoom` brings the room back.",
        parameters=(_ROOM_ID,),
        refusals={**_NO_ROOM, 422: (ErrorCode.INVALID_FIELD,)},
        links=(Link("showRoom", _SAME_ROOM), Link("restoreRoom", _SAME_ROOM)),
    ),
    Operation(
        "restoreRoom",
        "POST",
        "/v1/rooms/{room_id}/restore",
        Tag.ROOMS,
        "Bring a removed room back",
        ADMINS,
        (Success(200, "The room, with the members that the request names and nobody else.", Room),),
        parameters=(_ROOM_ID,),
        takes=RestoreRoomRequest,
        body_optional=True,
        refusals={**_NO_ROOM, 409: (ErrorCode.ROOM_EXISTS,)},
        links=(Link("showRoom", _THE_ROOM),),
    ),
    Operation(
        "updateRoomMembers",
        "PATCH",
        "/v1/rooms/{room_id}/members",
        Tag.ROOMS,
        "Add and remove members",
        ADMINS,
        (Success(200, "The room as it is now.", Room),),
        parameters=(_ROOM_ID,),
        takes=UpdateRoomMembersRequest,
        refusals=_NO_ROOM,
        links=(Link("showRoom", _THE_ROOM),),
    ),
    Operation(
        "listRoomMessages",
        "GET",
        "/v1/rooms/{room_id}/messages",
        Tag.ROOMS,
        "Messages of a room, without those of its threads",
        READERS,
        (kept("A page of messages, oldest first; without a cursor the newest.", MessagePage),),
        parameters=(_ROOM_ID, *paged_messages()),
        refusals={**_NO_READABLE_ROOM, **STORED, 422: (ErrorCode.INVALID_FIELD,)},
        links=(Link("listRoomMessages", {**_SAME_ROOM, **_OLDER}),),
    ),
    Operation(
        "listRoomThreads",
        "GET",
        "/v1/rooms/{room_id}/threads",
        Tag.THREADS,
        "Threads of a room, by id",
        READERS,
        (kept("A page of threads.", ThreadPage),),
        parameters=(_ROOM_ID, *paged()),
        refusals={**_NO_READABLE_ROOM, **STORED},
        links=(Link("showThread", {"thread_id": "$response.body#/threads/0/id"}),),
    ),
    Operation(
        "showThread",
        "GET",
        "/v1/threads/{thread_id}",
        Tag.THREADS,
        "One thread",
        READERS,
        (kept("The thread.", Thread),),
        parameters=(_THREAD_ID,),
        refusals=_NO_THREAD,
    ),
    Operation(
        "listThreadMessages",
        "GET",
        "/v1/threads/{thread_id}/messages",
        Tag.THREADS,
        "Messages of a thread",
        READERS,
        (kept("A page of messages, oldest first; without a cursor the newest.", MessagePage),),
        parameters=(_THREAD_ID, *paged_messages()),
        refusals={**_NO_THREAD, 422: (ErrorCode.INVALID_FIELD,)},
    ),
    Operation(
        "listDirectConversations",
        "GET",
        "/v1/dms",
        Tag.DIRECT,
        "The caller's direct conversations, by id",
        PARTICIPANTS,
        (kept("A page of direct conversations.", DirectPage),),
        parameters=paged(),
        refusals=_DIRECTS_OFF,
        links=(Link("showDirectConversation", {"dm_id": "$response.body#/dms/0/id"}),),
    ),
    Operation(
        "showDirectConversation",
        "GET",
        "/v1/dms/{dm_id}",
        Tag.DIRECT,
        "One direct conversation",
        PARTICIPANTS,
        (kept("The direct conversation.", DirectConversation),),
        description="One that the caller takes no part in is not found.",
        parameters=(_DM_ID,),
        refusals=_NO_DIRECT,
    ),
    Operation(
        "listDirectMessages",
        "GET",
        "/v1/dms/{dm_id}/messages",
        Tag.DIRECT,
        "Messages of a direct conversation",
        PARTICIPANTS,
        (kept("A page of messages, oldest first; without a cursor the newest.", MessagePage),),
        parameters=(_DM_ID, *paged_messages()),
        refusals={**_NO_DIRECT, 422: (ErrorCode.INVALID_FIELD,)},
    ),
    Operation(
        "listArtifacts",
        "GET",
        "/v1/artifacts",
        Tag.ARTIFACTS,
        "Artifacts of a conversation",
        READERS,
        (kept("A page of artifacts, in the order of the messages; without a cursor the newest.", ArtifactPage),),
        description="Every part of a message that is not plain text, or has a `url`, a `filename` or a `media_type`, "
        "is an artifact. One of `room_id` (with the artifacts of its threads), `thread_id` and `dm_id` is required; of "
        "several the thread counts, then the direct conversation, and each must be readable.",
        parameters=(
            in_query("room_id", "Those of a room and its threads.", {"type": "string"}, "general"),
            in_query("thread_id", "Those of a thread.", {"type": "string"}),
            in_query("dm_id", "Those of a direct conversation.", {"type": "string"}),
            *paged(ARTIFACT_CURSOR),
        ),
        refusals={
            403: (ErrorCode.NOT_READABLE, ErrorCode.DIRECT_MESSAGES_DISABLED),
            404: (ErrorCode.UNKNOWN_ROOM, ErrorCode.UNKNOWN_THREAD),
            422: (ErrorCode.INVALID_FIELD,),
            **STORED,
        },
    ),
)
