"""The call that Quart is handling: where its request context ends and our own values begin."""

from quart import g

from moltnet.http.call import Call


def current_call() -> Call:
    """Set before any route runs (``moltnet.http.api``)."""
    call: Call = g.call
    return call
