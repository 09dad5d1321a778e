"""Random requests for `test_against_model`, and the lists of the API.

Few names, so that requests meet: repeats, strangers, threads in other rooms, cursors from elsewhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.http.api_model import MENTIONS, ApiModel
from tests.http.api_state import CALLERS, Caller, Document


def mostly(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * 9 + [rare]).flatmap(lambda chosen: chosen)


callers = st.sampled_from([*CALLERS.values(), CALLERS["operator"], CALLERS["operator"], CALLERS["shared"]])
admins = st.sampled_from([CALLERS["operator"]] * 8 + [CALLERS["alpha"], CALLERS[""]])
room_ids = st.sampled_from(["general", "room2", "room3"])
thread_ids = st.sampled_from(["t1", "t2", "t3", "general"])
direct_ids = st.sampled_from(["d1", "d2", "d3", "general"])
agent_ids = st.sampled_from(["alpha", "beta", "gamma", "delta"])
message_ids = st.integers(1, 60).map("m{}".format)
spellings = st.sampled_from(
    ["alpha", "beta", "gamma", "lab:alpha", "molt://lab/agents/beta", "net_b:remote", "molt://net_b/agents/remote"]
)
members = st.lists(spellings, max_size=4, unique=True)
names = st.sampled_from(["", "", "One", "Two words"])
room_requests = st.fixed_dictionaries(
    {
        "id": room_ids,
        "name": names,
        "members": members,
        "visibility": st.sampled_from(["private", "public"]),
        "write_policy": st.sampled_from(["members", "registered_agents", "operators"]),
    }
)
bindings = st.fixed_dictionaries(
    {"id": agent_ids, "name": names, "credential_key": st.sampled_from(["token:shared", "token:alpha", "token:x"])}
)
applies = st.fixed_dictionaries(
    {
        "rooms": st.lists(room_requests, max_size=2, unique_by=lambda room: room["id"]),
        "agents": st.lists(bindings, max_size=2, unique_by=lambda agent: agent["id"]),
    }
)
some_parts = st.lists(
    st.one_of(
        st.fixed_dictionaries({"kind": st.just("text"), "text": st.sampled_from([*MENTIONS])}),
        st.sampled_from(
            [
                {"kind": "url", "url": "https://example.com/?a=1&b=<2>"},
                {"kind": "file", "filename": "a.txt", "url": "molt://a", "media_type": "text/plain"},
                {"kind": "data", "data": {"deep": [{"n": 1.5, "none": None}], "ünïcödé": '🦞 \0 " \\ \u2028'}},
                {"kind": "text", "text": "hello", "filename": "named.txt"},
            ]
        ),
    ),
    min_size=1,
    max_size=3,
)
parts = mostly(some_parts, st.just([]))
targets = st.one_of(
    st.fixed_dictionaries({"kind": st.just("room"), "room_id": room_ids}),
    st.fixed_dictionaries({"kind": st.just("room"), "room_id": room_ids}),
    st.fixed_dictionaries(
        {
            "kind": st.just("thread"),
            "room_id": room_ids,
            "thread_id": thread_ids,
            "parent_message_id": st.one_of(st.just(""), message_ids),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("dm"),
            "dm_id": direct_ids,
            "participant_ids": mostly(st.lists(spellings, min_size=2, max_size=4, unique=True), members),
        }
    ),
)
senders = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["agent", "agent", "agent", "human"]),
        "id": mostly(agent_ids, st.just("net_b:remote")),
        "name": names,
    }
)
mentions = st.lists(st.sampled_from(["alpha", "beta", "molt://net_b/agents/remote"]), max_size=2, unique=True)
content = {"target": targets, "from": senders, "parts": parts, "mentions": mentions}
sends = st.fixed_dictionaries({"id": message_ids, **content})
# What may be different in a message that is sent again.
changes = st.one_of([st.fixed_dictionaries({name: values}) for name, values in content.items()])
kinds = st.sampled_from(["room", "thread", "dm"])
conversations = st.one_of(
    st.tuples(st.just("room"), room_ids), st.tuples(st.just("thread"), thread_ids), st.tuples(st.just("dm"), direct_ids)
)


@attrs.frozen
class Listing:
    """A list of the API: where it is, and what the model says is in it."""

    path: str
    name: str
    items: Callable[[ApiModel, Caller], list[Document]]
    newest_first: bool = False


def messages_of(kind: str, id: str) -> Listing:
    path = {"room": "rooms", "thread": "threads", "dm": "dms"}[kind]
    return Listing(
        f"/v1/{path}/{id}/messages", "messages", lambda model, caller: model.message_list(caller, kind, id), True
    )


def artifacts_of(kind: str, id: str) -> Listing:
    return Listing(
        f"/v1/artifacts?{kind}_id={id}", "artifacts", lambda model, caller: model.artifact_list(caller, kind, id), True
    )


def threads_of(room_id: str) -> Listing:
    path = f"/v1/rooms/{room_id}/threads"
    return Listing(path, "threads", lambda model, caller: model.thread_list(caller, room_id))


ROOMS = Listing("/v1/rooms", "rooms", ApiModel.room_list)
AGENTS = Listing("/v1/agents", "agents", ApiModel.agent_list)
DIRECTS = Listing("/v1/dms", "dms", ApiModel.direct_list)
listings = st.one_of(
    st.sampled_from([ROOMS, AGENTS, DIRECTS]),
    room_ids.map(threads_of),
    st.builds(lambda conversation: messages_of(*conversation), conversations),
    st.builds(lambda conversation: artifacts_of(*conversation), conversations),
)
ALL_LISTINGS = [
    ROOMS,
    AGENTS,
    DIRECTS,
    *(threads_of(room_id) for room_id in ("general", "room2", "room3")),
    *(
        listing(kind, id)
        for listing in (messages_of, artifacts_of)
        for kind, ids in (("room", ("general", "room2", "room3")), ("thread", ("t1", "t2")), ("dm", ("d1", "d2")))
        for id in ids
    ),
]


def _first_messages() -> Iterator[Document]:
    """Something in every kind of list, so that it need not come about by chance."""
    words = [{"kind": "text", "text": "hello"}]
    picture = [*words, {"kind": "image", "url": "https://example.com/a.png"}]
    places = [
        {"kind": "room", "room_id": "general"},
        *({"kind": "thread", "room_id": "general", "thread_id": id, "parent_message_id": "m0"} for id in ("t1", "t2")),
        {"kind": "thread", "room_id": "room2", "thread_id": "t3", "parent_message_id": ""},
        *({"kind": "dm", "dm_id": id, "participant_ids": ["alpha", "beta"]} for id in ("d1", "d2", "d3")),
    ]
    for place in places:
        for parts in (words, picture):
            sender = {"type": "agent", "id": "alpha", "name": ""}
            yield {"target": place, "from": sender, "parts": parts, "mentions": ["beta"]}


FIRST_MESSAGES = list(_first_messages())
