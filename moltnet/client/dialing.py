"""From an address to a connected stream: TCP, a proxy's tunnel where one is asked for, TLS.

No deadline is set here: the caller's cancel scope bounds all of it, name lookup included.
"""

import functools
import os
import ssl
from pathlib import Path
from typing import NoReturn

import h11
import trio

from moltnet.client.address import ServerAddress
from moltnet.client.errors import ServerUnreachable
from moltnet.client.guard import (
    AddressGuard,
    AddressRefused,
    Lookup,
    checked_addresses,
    literal_problem,
    refusal,
    system_lookup,
)
from moltnet.client.limits import ADDRESS_SECONDS, MAX_HEAD_BYTES, RECEIVE_BYTES
from moltnet.client.proxies import Proxy


async def dial(
    server: ServerAddress,
    *,
    proxy: Proxy | None = None,
    tls: ssl.SSLContext | None = None,
    guard: AddressGuard | None = None,
    lookup: Lookup = system_lookup,
) -> tuple[trio.abc.Stream, trio.socket.SocketType]:
    """A stream to ``server`` on which HTTP can be spoken, and the socket under it.

    ``tls`` is the context for ``https`` servers; the system's certificate authorities unless given. With a ``guard``
    the server's name is looked up here, once, and only addresses that it lets pass are connected to. Behind a proxy,
    which looks names up itself, it sees only hosts that are numbers. Cancelled or failed, it leaves nothing open.

    Raises:
        ServerUnreachable: the name is unknown, nobody listens, the proxy refuses, or the certificate isn't trusted.
        AddressRefused: the guard does not let pass where the name leads to.
    """
    tcp = await (_open_tcp(server, proxy) if guard is None else _open_guarded(server, proxy, guard, lookup))
    try:
        if not server.is_tls:
            return tcp, tcp.socket
        if proxy is not None:
            await _open_tunnel(tcp, server, proxy)
        return await _open_tls(tcp, server, tls or default_tls()), tcp.socket
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise


@functools.cache
def default_tls() -> ssl.SSLContext:
    """Trusts the system's certificate authorities, or those in ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``."""
    return trusting(None)


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the authorities in this file and no others, or without one the system's. Raises ``OSError``."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _open_tcp(server: ServerAddress, proxy: Proxy | None) -> trio.SocketStream:
    there = proxy or server
    try:
        return await trio.open_tcp_stream(there.host, there.port)
    except OSError as error:
        reason = _reason(error) if proxy is None else f"proxy {proxy}: {_reason(error)}"
        raise ServerUnreachable(str(server), reason) from error


async def _open_guarded(
    server: ServerAddress, proxy: Proxy | None, guard: AddressGuard, lookup: Lookup
) -> trio.SocketStream:
    if proxy is not None:
        if (problem := literal_problem(guard, server.host)) is not None:
            raise AddressRefused(str(server), refusal(problem))
        return await _open_tcp(server, proxy)
    try:
        addresses = await checked_addresses(guard, str(server), server.host, server.port, lookup)
    except OSError as error:
        raise ServerUnreachable(str(server), _phrase(error)) from error
    failures: list[str] = []
    for address in addresses:
        try:
            with trio.move_on_after(ADDRESS_SECONDS):
                return await trio.open_tcp_stream(address, server.port)
            failures.append(f"no answer within {ADDRESS_SECONDS:g} s")
        except OSError as error:
            failures.append(_reason(error))
    raise ServerUnreachable(str(server), "; ".join(dict.fromkeys(failures)) or "the name has no address")


async def _open_tls(tcp: trio.SocketStream, server: ServerAddress, context: ssl.SSLContext) -> trio.abc.Stream:
    # Servers of HTTP often end TLS by closing TCP; HTTP's own framing tells whether an answer is complete.
    stream = trio.SSLStream(tcp, context, server_hostname=server.host, https_compatible=True)
    try:
        await stream.do_handshake()
    except (trio.BrokenResourceError, ssl.CertificateError) as error:
        raise ServerUnreachable(str(server), _tls_reason(error)) from error
    return stream


async def _open_tunnel(tcp: trio.SocketStream, server: ServerAddress, proxy: Proxy) -> None:
    """Ask ``proxy`` for a connection to ``server``. Nothing after its answer is read: those bytes are TLS."""

    def fail(reason: str, cause: BaseException | None = None) -> NoReturn:
        raise ServerUnreachable(str(server), f"proxy {proxy}: {reason}") from cause

    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    headers = [("Host", server.endpoint)]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    request = http.send(h11.Request(method="CONNECT", target=server.endpoint, headers=headers))
    try:
        await tcp.send_all((request or b"") + (http.send(h11.EndOfMessage()) or b""))
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(bytes(await tcp.receive_some(RECEIVE_BYTES)))
    except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        fail("ended the connection or does not speak HTTP", error)
    if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
        fail(f"answered {getattr(event, 'status_code', 'nothing')}")
    if http.trailing_data[0]:
        fail("sent data before the tunnel was used")


def _reason(error: OSError) -> str:
    """One phrase for why connecting failed; ``open_tcp_stream`` wraps several attempts into one error."""
    leaves: list[BaseException] = [error]
    if isinstance(error.__cause__, BaseExceptionGroup):
        leaves = list(error.__cause__.exceptions)
    elif error.__cause__ is not None:
        leaves = [error.__cause__]
    phrases = [_phrase(leaf) for leaf in leaves if isinstance(leaf, OSError)]
    return "; ".join(dict.fromkeys(phrase[:1].lower() + phrase[1:] for phrase in phrases)) or "connection failed"


def _phrase(error: OSError) -> str:
    # The numbers of a failed lookup are its own and negative; Trio's text repeats the address in its own notation.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _tls_reason(error: BaseException) -> str:
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or 'unknown reason'}"
    return "ended the connection during the TLS handshake"
