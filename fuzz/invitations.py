"""Invariant: any text is the code of an invitation or a ``BadCode`` that repeats nothing of it, and nothing else.

A code that was read is one that we could have written: written again and read again it is the same, and what it holds
(address, ids, names, a time) is what the rules for such things allow.
"""

import base64
import sys
from collections.abc import Hashable
from typing import Final

import attrs

from fuzz.campaign import Target, main
from moltnet.client.address import parse_server_address
from moltnet.pairing.code import PREFIX, BadCode, InvitationCode, parse_code
from moltnet.pairing.limits import MAX_CODE_CHARACTERS
from moltnet.protocol.ids import is_id
from moltnet.protocol.times import Timestamp

CODE: Final = InvitationCode(
    id="inv_1",
    secret="PLANTED-SECRET-OF-invitation",
    network_id="net_a",
    base_url="https://a.example",
    expires_at=Timestamp("2026-01-01T00:00:00Z"),
    network_name="A",
    rooms=("general",),
)
"""What a seed begins with that is plain JSON: mutations of the packed form hardly ever leave the alphabet."""
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(PREFIX, CODE.text(), "=", "-", "_", "\n", " ", '"id":', '"secret":', '"network_id":', '"base_url":'),
        *('"expires_at":', '"network_name":', '"rooms":', "https://", "http://[", "@", "?", "#", "%00", "0001-01-01T"),
        *("T00:00:00+99:99", "T24:00:00Z", "{", "}", "[", "]", ",", '"'),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if a text breaks the invariant; otherwise says what it was. One that begins with ``{`` is packed first."""
    if data.startswith(b"{"):
        text = PREFIX + base64.urlsafe_b64encode(data).decode().rstrip("=")
    else:
        text = data.decode(errors="surrogateescape")
    try:
        code = parse_code(text)
    except BadCode as error:
        packed = "".join(text.split())
        if packed.startswith(PREFIX) and len(packed) > len(PREFIX) + 8 and packed in str(error):
            raise AssertionError("the message repeats the code") from error
        return str(error)
    # A secret as short as a letter stands in anything.
    if len(code.secret) > 8 and code.secret in repr(code) and code.secret not in repr(attrs.evolve(code, secret="")):
        raise AssertionError("the secret is shown")
    if not all(map(is_id, (code.id, code.network_id, *code.rooms))):
        raise AssertionError(f"{code} holds what is no id")
    parse_server_address(code.base_url)
    code.expires.timestamp()
    if len(code.text()) <= MAX_CODE_CHARACTERS and parse_code(code.text()) != code:
        raise AssertionError(f"{code} was written and read as another")
    return "a code", bool(code.rooms), bool(code.network_name)


TARGET: Final = Target("invitations", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
