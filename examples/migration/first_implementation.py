#!/usr/bin/env python3
"""Writes what a database of the first (Go) implementation of Moltnet holds as the JSON file that it would have written.

    python3 first_implementation.py moltnet.db > moltnet.json           # its SQLite database; stop its server first
    psql -qAt -f first_implementation.sql "$DSN" > tables.json           # its PostgreSQL database
    python3 first_implementation.py tables.json > moltnet.json

A server of this version opens that file with `storage.kind: json`; `moltnet backup` and `moltnet restore` take it from
there to SQLite or PostgreSQL: docs/migration.md. Needs nothing but Python 3.11, and only reads the database.
"""

import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

TABLES = ("rooms", "room_members", "threads", "dm_conversations", "dm_participants", "messages", "agents")
# How that program writes a time that it does not know.
NO_TIME = "0001-01-01T00:00:00Z"

Row = Mapping[str, Any]


def tables_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables, of an SQLite file or of what `first_implementation.sql` prints."""
    with path.open("rb") as file:
        is_sqlite = file.read(16) == b"SQLite format 3\0"
    if not is_sqlite:
        dump = json.loads(path.read_text(encoding="utf-8"))
        return {name: dump.get(name) or [] for name in TABLES}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] if name in known else []
            for name in TABLES
        }


def instant(text: str | None) -> tuple[str, str]:
    """What times are ordered by: their texts differ in length, so that `.1Z` would come after `.12Z`."""
    seconds, _, rest = (text or NO_TIME).partition(".")
    fraction = re.match(r"\d*", rest)
    return seconds.rstrip("Z").replace(" ", "T"), (fraction[0] if fraction else "").ljust(9, "0")


def written(time: Any) -> str:
    """A time as RFC 3339 in UTC, whichever database it is of."""
    text = str(time or NO_TIME).replace(" ", "T")
    return re.sub(r"[+-]00(:?00)?$", "Z", text)


def parsed(text: Any, empty: Any) -> Any:
    """A column that holds JSON."""
    value = json.loads(text) if isinstance(text, str) and text else text
    return value or empty


def message(row: Row) -> dict[str, Any]:
    found = {
        "id": row["id"],
        "network_id": row["network_id"],
        "origin": parsed(row.get("origin_json"), {}),
        "target": parsed(row["target_json"], {}),
        "from": parsed(row["from_json"], {}),
        "parts": parsed(row["parts_json"], []),
        "mentions": parsed(row["mentions_json"], []),
        "created_at": written(row["created_at"]),
    }
    return {key: value for key, value in found.items() if value or key == "parts"}


def by_conversation(rows: Iterable[Row], kind: str, key: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["target_kind"] == kind:
            found.setdefault(row[key], []).append(message(row))
    return found


def snapshot(tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The document that the first implementation writes for a storage of kind `json`."""
    members: dict[str, list[str]] = {}
    for row in tables["room_members"]:
        members.setdefault(row["room_id"], []).append(row["member_id"])
    participants: dict[str, dict[str, Any]] = {row["dm_id"]: {} for row in tables["dm_conversations"]}
    for row in tables["dm_participants"]:
        participants.setdefault(row["dm_id"], {})[row["participant_id"]] = {}
    said = sorted(tables["messages"], key=lambda row: (instant(written(row["created_at"])), row["id"]))
    return {
        "rooms": {
            row["id"]: {
                **{key: row[key] for key in ("id", "network_id", "fqid", "name")},
                "members": sorted(members.get(row["id"], [])),
                "visibility": row.get("visibility") or "private",
                "write_policy": row.get("write_policy") or "members",
                "created_at": written(row["created_at"]),
            }
            for row in tables["rooms"]
            if not row.get("deleted_at")
        },
        "removed_rooms": {row["id"]: NO_TIME for row in tables["rooms"] if row.get("deleted_at")},
        "room_messages": by_conversation(said, "room", "room_id"),
        "threads": {
            row["id"]: {
                **{key: row[key] for key in ("id", "network_id", "fqid", "room_id", "message_count")},
                "parent_message_id": row["parent_message_id"] or "",
                "last_message_at": written(row["last_message_at"]),
            }
            for row in tables["threads"]
        },
        "thread_messages": by_conversation(said, "thread", "thread_id"),
        "direct_messages": by_conversation(said, "dm", "dm_id"),
        "direct_members": participants,
        "agents": {
            row["agent_id"]: {
                **{key: row[key] for key in ("network_id", "agent_id", "actor_uid", "actor_uri", "credential_key")},
                "display_name": row["display_name"] or "",
                "created_at": written(row["created_at"]),
                "updated_at": written(row["updated_at"]),
            }
            for row in tables["agents"]
        },
    }


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    document = snapshot(tables_of(Path(arguments[0])))
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    print()
    messages = [each for key in document if key.endswith("_messages") for each in document[key].values()]
    print(
        f"{len(document['rooms'])} rooms, {len(document['agents'])} agents, {sum(map(len, messages))} messages",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
