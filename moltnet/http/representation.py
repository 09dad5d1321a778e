"""What every answer gets before it leaves: a tag to ask again with, a smaller form, and headers (HTTP API §1).

``HEAD`` goes the same way as ``GET``, so that it tells the same. Which of it applies is said by the answer's own
``Cache-Control``: what must not be kept is neither tagged nor compressed. No framework in here.
"""

from collections.abc import Iterable
from typing import Final, Protocol

import attrs

from moltnet.http.call import Call
from moltnet.http.compression import Compressor, is_compressible
from moltnet.http.conditional import entity_tag, is_current
from moltnet.http.headers import KEPT_AND_CHECKED, NOT_KEPT, SECURITY, VARY
from moltnet.http.negotiation import accepts_gzip
from moltnet.protocol import limits

_READING: Final = frozenset({"GET", "HEAD"})
_DOCUMENTS: Final = "/v1/"
_STREAM: Final = "text/event-stream"


class HeaderTable(Protocol):
    """A mapping of ours, or a framework's table of headers."""

    def items(self) -> Iterable[tuple[str, str]]: ...
    def get(self, name: str, default: str, /) -> str: ...
    def pop(self, name: str, default: None, /) -> object: ...
    def setdefault(self, name: str, value: str, /) -> str: ...
    def __contains__(self, name: str, /) -> bool: ...
    def __getitem__(self, name: str, /) -> str: ...
    def __setitem__(self, name: str, value: str, /) -> None: ...


@attrs.frozen(eq=False)
class Representation:
    """The last step of all answers of one server."""

    _compressor: Compressor = attrs.field(factory=Compressor)

    async def finish(
        self, call: Call, status: int, headers: HeaderTable, body: bytes | None
    ) -> tuple[int, bytes | None]:
        """Add to ``headers`` what is missing; returns the status and the body to send. No ``body`` means a stream."""
        # ``setdefault`` looks through all of them each time.
        given = {name.lower() for name, _ in headers.items()}
        for name, value in SECURITY.items():
            if name.lower() not in given:
                headers[name] = value
        if headers.get("Content-Type", "") == _STREAM:
            headers.pop("Content-Length", None)  # of the answer to HEAD: GET has no end
            return status, body
        is_whole = body is not None and call.method in _READING and status == 200
        if is_whole and call.path.startswith(_DOCUMENTS):
            headers.setdefault("Cache-Control", KEPT_AND_CHECKED)
        headers.setdefault("Cache-Control", NOT_KEPT)
        if body is not None and is_whole and headers["Cache-Control"] != NOT_KEPT:
            headers.setdefault("Vary", VARY)
            return await self._offer(call, headers, body)
        return status, body

    async def _offer(self, call: Call, headers: HeaderTable, body: bytes) -> tuple[int, bytes]:
        """Answer with as little as the client needs: nothing, a compressed body, or all."""
        tag = headers.setdefault("ETag", entity_tag(body))
        if is_current(call.headers.all_of(b"if-none-match"), tag):
            for name in ("Content-Type", "Content-Length"):
                headers.pop(name, None)
            return 304, b""
        if len(body) < limits.MIN_COMPRESSED_BYTES or "Content-Encoding" in headers:
            return 200, body
        content_type = headers.get("Content-Type", "")
        if is_compressible(content_type) and accepts_gzip(call.headers.all_of(b"accept-encoding")):
            headers["Content-Encoding"] = "gzip"
            return 200, await self._compressor.compress(body)
        return 200, body
