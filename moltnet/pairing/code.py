"""The code by which one network invites another: one line of text, made to be copied, and a secret until it is used.

It holds no lasting token, only the one-time secret of an invitation. Pure.
"""

import base64
import binascii
import re
from datetime import datetime
from typing import Final

import attrs

from moltnet.config.names import name_problem
from moltnet.config.urls import url_problem
from moltnet.pairing.limits import MAX_CODE_CHARACTERS
from moltnet.protocol.codec import DecodeError, decode, encode
from moltnet.protocol.ids import id_problem
from moltnet.protocol.times import Timestamp, parse_timestamp

PREFIX: Final = "moltnet-pair-v1."
_BODY: Final = re.compile(r"[A-Za-z0-9_-]+")


class BadCode(ValueError):
    """The text is no code of an invitation, or one that was cut off. The message never repeats it."""


@attrs.frozen
class InvitationCode:
    """Who invites, where it is reached, which rooms it offers, and the secret that shows who was invited."""

    id: str
    secret: str = attrs.field(repr=False)
    network_id: str
    base_url: str
    expires_at: Timestamp
    network_name: str = ""
    rooms: tuple[str, ...] = ()

    @property
    def expires(self) -> datetime:
        return parse_timestamp(self.expires_at)

    def text(self) -> str:
        return PREFIX + base64.urlsafe_b64encode(encode(self)).decode().rstrip("=")


def parse_code(text: str) -> InvitationCode:
    """The invitation in ``text``; blanks and line breaks that a mail program put in do not matter.

    Raises ``BadCode``.
    """
    packed = "".join(text.split())
    if len(packed) > MAX_CODE_CHARACTERS:
        raise BadCode("the text is too long for the code of an invitation")
    if not packed.startswith(PREFIX):
        raise BadCode(f"that is no code of an invitation: it begins with {PREFIX}")
    body = packed.removeprefix(PREFIX)
    try:
        if not _BODY.fullmatch(body):
            raise ValueError
        code = decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), InvitationCode)
        if code.expires.tzinfo is None:
            raise ValueError
    except (ValueError, binascii.Error, DecodeError):
        raise BadCode("the code is damaged: copy all of it, from its first character to its last") from None
    problem = (
        id_problem(code.id)
        or id_problem(code.network_id)
        or url_problem(code.base_url)
        or name_problem(code.network_name)
        or next(filter(None, map(id_problem, code.rooms)), None)
    )
    if problem is not None or not code.secret:
        raise BadCode("the code holds something that no invitation has")
    return code
