"""Probes of the API: documents, ids, queries, texts, and messages that come again."""

import json
from collections.abc import Iterator
from typing import Any, Final

from fuzz.client.probing import Look, Probe
from fuzz.client.wire import Answered

MAX_PAGE_ITEMS: Final = 500
ODD_IDS: Final = (
    *("a" * 129, "a" * 5000, "-a", ".", "..", "a b", "a/b", "a%00b", "\u00e4", "\u202e", "\U0001f99e", "a\nb", "<b>"),
    *("' OR 1=1 --", "%", "{{7*7}}", "__proto__", "molt://x", "a:b:c", "NaN", "null", "", " "),
)
TEXTS: Final = (
    *(
        "\u00e4\u00f6\u00fc",
        "\U0001f99e" * 50,
        "\u202eabc",
        "e\u0301",
        "\ufdfa",
        "\u0000",
        "\u001b[2J",
        "a\u2028b\u2029c",
    ),
    *(
        "\ud7ff\ue000\ufffd\uffff",
        "\U0010ffff",
        "line\nline\r\nline",
        "<script>alert(1)</script>",
        "@everyone @",
        "\t \u3000",
    ),
    *("'; DROP TABLE messages; --", "${jndi:x}", "%s%n", "```\n# x\n```", "a" * 100_000, "@a" * 1000),
)
NUMBERS: Final = (
    *("0", "-0", "1", "-1", "1.0", "1e2", "1e308", "1e999", "-1e999", "NaN", "Infinity", "9007199254740993"),
    *("18446744073709551616", "1" * 400, "0x10", "01", "1_000", ".5", "true", "null", '"1"', "[]", "{}"),
)
LIMITS: Final = ("0", "-1", "1", "501", "99999999999999999999", "1e3", "abc", "", "%00", "%EF%BC%91", "1%1e", "1_0")


def message(look: Look, text: str, message_id: str) -> dict[str, Any]:
    options = look.options
    return {
        "id": message_id,
        "target": {"kind": "room", "room_id": options.room or "general"},
        "from": {"type": "agent" if options.sender else "human", "id": options.sender or "fuzzer"},
        "parts": [{"kind": "text", "text": text}],
    }


def new_id(look: Look) -> str:
    return f"fuzz-{look.rng.getrandbits(64):016x}"


def _documents(look: Look) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of what is no message."""
    good = message(look, "x", new_id(look))
    text = json.dumps(good)
    yield "nothing", b""
    yield "no JSON", b"{"
    yield "another value", look.rng.choice((b"null", b"[]", b"1", b'"x"', b"true"))
    yield "more behind the end", text.encode() + b"x"
    yield "two documents", text.encode() * 2
    yield "no UTF-8", text.replace("fuzz", "fu\x00zz").encode("utf-16")
    yield "bytes in a text", text.encode().replace(b'"x"', b'"\xff\xfe"')
    yield "half a surrogate", text.encode().replace(b'"x"', b'"\\ud800"')
    yield "a byte order mark", b"\xef\xbb\xbf" + text.encode()
    for depth in (200, 5000, look.rng.randint(100, 200_000)):
        yield f"lists {depth} deep", b"[" * depth + b"]" * depth
        yield f"objects {depth} deep", b'{"a":' * min(depth, 100_000) + b"1" + b"}" * min(depth, 100_000)
        deep = b"[" * depth + b"]" * depth
        yield f"data {depth} deep", text.encode().replace(b'"text": "x"', b'"data": {"a":' + deep + b"}")
    for number in NUMBERS:
        yield f"the number {number[:20]}", text.replace('"x"', number).encode()
    yield "many parts", json.dumps({**good, "parts": good["parts"] * 5000}).encode()
    yield "many mentions", json.dumps({**good, "mentions": ["a"] * 5000}).encode()
    yield "a key twice", text.encode().replace(b'"id"', b'"id": "other", "id"', 1)
    yield "many keys", json.dumps({**good, **{f"k{number}": 1 for number in range(20_000)}}).encode()
    yield "a long key", json.dumps({**good, "k" * 500_000: 1}).encode()
    damaged = bytearray(text.encode())
    for _ in range(look.rng.randint(1, 5)):
        damaged[look.rng.randrange(len(damaged))] = look.rng.randrange(256)
    yield "a message with wrong bytes", bytes(damaged)


async def documents(look: Look) -> None:
    for case, body in _documents(look):
        outcome = await look.call(case, "POST", "/v1/messages", body)
        if isinstance(outcome, Answered) and outcome.status >= 400:
            _check_envelope(look, case, outcome, body)
        if case in ("nothing", "no JSON", "another value", "bytes in a text", "half a surrogate") and (
            isinstance(outcome, Answered) and outcome.status < 300
        ):
            look.violates(case, f"answered {outcome}: that is no message", body)


def _check_envelope(look: Look, case: str, answer: Answered, sent: bytes) -> None:
    """An error of the API is an object with a text of what is wrong."""
    document = answer.json()
    if not isinstance(document, dict) or not isinstance(document.get("error"), str) or not document["error"]:
        look.violates(case, f"answered {answer.status} without a text that says what is wrong", sent)


async def ids(look: Look) -> None:
    for odd in ODD_IDS:
        quoted = "".join(f"%{byte:02X}" for byte in odd.encode())
        for path in (f"/v1/rooms/{quoted}/messages", f"/v1/threads/{quoted}", f"/v1/agents/{quoted}"):
            await look.call(f"id {odd[:20]!r} in a path", "GET", path)
        await look.call(f"cursor {odd[:20]!r}", "GET", f"/v1/rooms?limit=1&after={quoted}")
        body = json.dumps({**message(look, "x", odd), "target": {"kind": "room", "room_id": odd}}).encode()
        outcome = await look.call(f"id {odd[:20]!r} in a message", "POST", "/v1/messages", body)
        if len(odd) > 128 and isinstance(outcome, Answered) and outcome.status < 300:
            look.violates(f"id {odd[:20]!r}", f"answered {outcome}: an id has at most 128 characters", body)


async def queries(look: Look) -> None:
    for limit in LIMITS:
        for path in ("/v1/rooms", "/v1/agents"):
            outcome = await look.call(f"limit={limit}", "GET", f"{path}?limit={limit}")
            items = _items(outcome, path)
            if items is not None and len(items) > MAX_PAGE_ITEMS:
                look.violates(f"limit={limit}", f"a page of {len(items)}")
    await look.call("both cursors", "GET", "/v1/rooms?before=a&after=b")
    await look.call("a query of bytes", "GET", "/v1/rooms?limit=%FF%FE&%00=%0A")
    await look.call("many parameters", "GET", "/v1/rooms?" + "&".join(f"a{number}=1" for number in range(1000)))


def _items(outcome: object, path: str) -> list[Any] | None:
    document = outcome.json() if isinstance(outcome, Answered) and outcome.status == 200 else None
    found = document.get(path.rpartition("/")[2]) if isinstance(document, dict) else None
    return found if isinstance(found, list) else None


async def texts(look: Look) -> None:
    """What is accepted is what is read back."""
    if not look.options.room:
        look.skip("it sends messages: name a --room")
        return
    for text in TEXTS:
        message_id, case = new_id(look), f"the text {text[:10]!r}"
        body = json.dumps(message(look, text, message_id)).encode()
        outcome = await look.call(case, "POST", "/v1/messages", body)
        if isinstance(outcome, Answered) and outcome.status in (200, 202):
            found = await _newest(look, case)
            if found is None:
                continue  # whoever may write need not be allowed to read
            mine = [each for each in found if each.get("id") == message_id]
            if len(mine) != 1:
                look.violates(case, f"it was accepted and is there {len(mine)} times", body)
            elif [part.get("text", "") for part in mine[0].get("parts", [])] != [text]:
                look.violates(case, "it was accepted and says something else", body)


async def _newest(look: Look, case: str) -> list[dict[str, Any]] | None:
    outcome = await look.call(case, "GET", f"/v1/rooms/{look.options.room}/messages?limit=5")
    document = outcome.json() if isinstance(outcome, Answered) and outcome.status == 200 else None
    found = document.get("messages") if isinstance(document, dict) else None
    return found if isinstance(found, list) else None


async def repeats(look: Look) -> None:
    """A message that comes again is there once."""
    if not look.options.room:
        look.skip("it sends messages: name a --room")
        return
    message_id = new_id(look)
    body = json.dumps(message(look, "the same", message_id)).encode()
    answers = [await look.call("the same message", "POST", "/v1/messages", body) for _ in range(3)]
    other = json.dumps(message(look, "another one", message_id)).encode()
    await look.call("another message with its id", "POST", "/v1/messages", other)
    accepted = [each for each in answers if isinstance(each, Answered) and each.status in (200, 202)]
    found = await _newest(look, "the same message")
    if accepted and found is not None:
        mine = [each for each in found if each.get("id") == message_id]
        if len(mine) != 1:
            look.violates("the same message", f"is there {len(mine)} times", body)
        elif mine[0]["parts"][0].get("text") != "the same":
            look.violates("another message with its id", "took its place", other)


API_PROBES: Final = (
    Probe("documents", "Whatever a body holds, it is a message or refused with a text that says why.", documents),
    Probe("ids", "What is no id is refused or unknown, wherever it stands.", ids),
    Probe("queries", "Whatever a query holds, a page has at most 500 items.", queries),
    Probe("texts", "A text that is accepted is read back as it was.", texts),
    Probe("repeats", "A message that comes again is there once, as it was.", repeats),
)
