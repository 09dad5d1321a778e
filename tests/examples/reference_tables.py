"""A database as the first implementation leaves it, by its schema (storage §4), with a network in it."""

from collections.abc import Iterator
from typing import Any

SCHEMA = """\
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at {time} NOT NULL);
CREATE TABLE rooms (id TEXT PRIMARY KEY, network_id TEXT NOT NULL, fqid TEXT NOT NULL, name TEXT NOT NULL,
  created_at {time} NOT NULL, deleted_at {time}, visibility TEXT NOT NULL DEFAULT 'private',
  write_policy TEXT NOT NULL DEFAULT 'members');
CREATE TABLE room_members (room_id TEXT NOT NULL, member_id TEXT NOT NULL, PRIMARY KEY (room_id, member_id));
CREATE TABLE threads (id TEXT PRIMARY KEY, network_id TEXT NOT NULL, fqid TEXT NOT NULL, room_id TEXT NOT NULL,
  parent_message_id TEXT NOT NULL, message_count INTEGER NOT NULL, last_message_at {time} NOT NULL);
CREATE TABLE dm_conversations (dm_id TEXT PRIMARY KEY, network_id TEXT NOT NULL, fqid TEXT NOT NULL,
  message_count INTEGER NOT NULL, last_message_at {time} NOT NULL);
CREATE TABLE dm_participants (dm_id TEXT NOT NULL, participant_id TEXT NOT NULL, PRIMARY KEY (dm_id, participant_id));
CREATE TABLE messages (id TEXT PRIMARY KEY, network_id TEXT NOT NULL, target_kind TEXT NOT NULL, room_id TEXT,
  thread_id TEXT, parent_message_id TEXT, dm_id TEXT, origin_json TEXT NOT NULL DEFAULT '{{}}',
  target_json TEXT NOT NULL, from_json TEXT NOT NULL, parts_json TEXT NOT NULL, mentions_json TEXT NOT NULL,
  created_at {time} NOT NULL);
CREATE TABLE agents (agent_id TEXT PRIMARY KEY, network_id TEXT NOT NULL, actor_uid TEXT NOT NULL,
  actor_uri TEXT NOT NULL, display_name TEXT, credential_key TEXT NOT NULL, created_at {time} NOT NULL,
  updated_at {time} NOT NULL);
"""
ALPHA = '{"type":"agent","id":"alpha","name":"Alpha","network_id":"lab","fqid":"molt://lab/agents/alpha"}'
AT = "2026-01-02T03:05:00"


def _message(name: str, kind: str, target: str, fraction: str, **places: str) -> tuple[str, dict[str, Any]]:
    return "messages", {
        "id": name,
        "network_id": "lab",
        "target_kind": kind,
        "origin_json": f'{{"network_id":"lab","message_id":"{name}"}}',
        "target_json": target,
        "from_json": ALPHA,
        "parts_json": f'[{{"kind":"text","text":"This is {name}."}}]',
        "mentions_json": "null",
        "created_at": f"{AT}{fraction}Z",
        **places,
    }


def rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and columns of each row. As texts the times of the messages would be in another order."""
    ours = {"network_id": "lab"}
    for room, deleted in (("general", None), ("attic", f"{AT}Z")):
        yield (
            "rooms",
            {
                **ours,
                "id": room,
                "fqid": f"molt://lab/rooms/{room}",
                "name": room.title(),
                "created_at": f"{AT}Z",
                "deleted_at": deleted,
                "visibility": "public",
            },
        )
    yield from (("room_members", {"room_id": "general", "member_id": each}) for each in ("alpha", "net_b:beta"))
    yield (
        "threads",
        {
            **ours,
            "id": "t1",
            "fqid": "molt://lab/threads/t1",
            "room_id": "general",
            "parent_message_id": "m1",
            "message_count": 1,
            "last_message_at": f"{AT}Z",
        },
    )
    yield (
        "dm_conversations",
        {**ours, "dm_id": "d1", "fqid": "molt://lab/dms/d1", "message_count": 1, "last_message_at": f"{AT}Z"},
    )
    yield from (("dm_participants", {"dm_id": "d1", "participant_id": each}) for each in ("alpha", "gamma"))
    in_room = '{"kind":"room","room_id":"general"}'
    yield _message("m2", "room", in_room, ".12", room_id="general")
    yield _message("m1", "room", in_room, ".1", room_id="general")
    in_thread = '{"kind":"thread","room_id":"general","thread_id":"t1","parent_message_id":"m1"}'
    yield _message("m3", "thread", in_thread, ".2", room_id="general", thread_id="t1", parent_message_id="m1")
    yield _message("m4", "dm", '{"kind":"dm","dm_id":"d1","participant_ids":["alpha","gamma"]}', ".3", dm_id="d1")
    yield (
        "agents",
        {
            **ours,
            "agent_id": "alpha",
            "actor_uid": "actor_1",
            "actor_uri": "molt://lab/agents/alpha",
            "display_name": "Alpha",
            "credential_key": "token:attachment-alpha",
            "created_at": f"{AT}Z",
            "updated_at": f"{AT}Z",
        },
    )


def _literal(value: object) -> str:
    return (
        "NULL" if value is None else str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
    )


def script(time: str) -> str:
    """The whole database as SQL; ``time`` is the type of columns that hold one."""
    inserts = (
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(map(_literal, row.values()))});"
        for table, row in rows()
    )
    return "\n".join([SCHEMA.format(time=time), *inserts])
