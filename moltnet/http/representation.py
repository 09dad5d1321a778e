"""What every answer gets before it leaves: a tag to ask again with, a smaller form, and headers (HTTP API §1).

``HEAD`` goes the same way as ``GET``, so that it tells the same. Which of it applies is said by the answer's own
``Cache-Control``: what must not be kept is neither tagged nor compressed.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from quart import Response, request
from quart.wrappers.response import DataBody

from moltnet.http.compression import Compressor, is_compressible
from moltnet.http.conditional import entity_tag, is_current
from moltnet.http.headers import KEPT_AND_CHECKED, NOT_KEPT, SECURITY, VARY
from moltnet.http.negotiation import accepts_gzip
from moltnet.protocol import limits

_READING: Final = frozenset({"GET", "HEAD"})
_DOCUMENTS: Final = "/v1/"
_STREAM: Final = "text/event-stream"

Finish = Callable[[Response], Awaitable[Response]]


def finishing() -> Finish:
    """The last step of all answers of one server."""
    compressor = Compressor()

    async def finish(answer: Response) -> Response:
        headers = answer.headers
        # ``setdefault`` looks through all of them each time.
        given = {name.lower() for name, _ in headers}
        for name, value in SECURITY.items():
            if name.lower() not in given:
                headers.add(name, value)
        if headers.get("Content-Type") == _STREAM:
            headers.pop("Content-Length", None)  # of the answer to HEAD: GET has no end
            return answer
        is_whole = request.method in _READING and answer.status_code == 200 and isinstance(answer.response, DataBody)
        if is_whole and request.path.startswith(_DOCUMENTS):
            headers.setdefault("Cache-Control", KEPT_AND_CHECKED)
        headers.setdefault("Cache-Control", NOT_KEPT)
        if is_whole and headers["Cache-Control"] != NOT_KEPT:
            headers.setdefault("Vary", VARY)
            await _offer(answer, compressor)
        return answer

    return finish


async def _offer(answer: Response, compressor: Compressor) -> None:
    """Answer with as little as the client needs: nothing, a compressed body, or all."""
    body: bytes = await answer.get_data(as_text=False)
    tag = answer.headers.setdefault("ETag", entity_tag(body))
    if is_current(_all_of("If-None-Match"), tag):
        answer.status_code = 304
        answer.set_data(b"")
        for name in ("Content-Type", "Content-Length"):
            answer.headers.pop(name, None)
        return
    if len(body) < limits.MIN_COMPRESSED_BYTES or "Content-Encoding" in answer.headers:
        return
    if is_compressible(answer.headers.get("Content-Type", "")) and accepts_gzip(_all_of("Accept-Encoding")):
        answer.set_data(await compressor.compress(body))
        answer.headers["Content-Encoding"] = "gzip"


def _all_of(name: str) -> str:
    """A header that is a list may be given in pieces."""
    return ", ".join(request.headers.getlist(name))
