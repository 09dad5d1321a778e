"""Operations on sessions: signing in to the console, out of it, and who the caller is."""

from typing import Final

from moltnet.http.openapi.operation import EVERYBODY, STORED, Access, Operation, Success, Tag, kept
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.sessions import SignInRequest, WhoAmI

_WHOEVER_HAS_ONE: Final = Access((), public=True, note="Everybody; a credential that is no good is refused.")

SESSION_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "showSession",
        "GET",
        "/v1/session",
        Tag.NETWORK,
        "Who the caller is",
        _WHOEVER_HAS_ONE,
        (kept("What the network takes the caller for.", WhoAmI),),
        refusals={401: (ErrorCode.INVALID_TOKEN,)},
    ),
    Operation(
        "signIn",
        "POST",
        "/v1/session",
        Tag.NETWORK,
        "Sign in to the console",
        EVERYBODY,
        (Success(200, "Signed in; the cookie holds the session.", WhoAmI, headers=("Set-Cookie",)),),
        description="For browsers: the cookie stands for the token until the session ends, and never shows it. "
        "Programs send their token with each request instead.",
        takes=SignInRequest,
        refusals={401: (ErrorCode.INVALID_TOKEN,), 409: (ErrorCode.TOKENS_NOT_ASKED,), **STORED},
    ),
    Operation(
        "signOut",
        "DELETE",
        "/v1/session",
        Tag.NETWORK,
        "Sign out of the console",
        EVERYBODY,
        (Success(200, "Signed out, or nobody was signed in.", WhoAmI, headers=("Set-Cookie",)),),
        refusals={401: (ErrorCode.INVALID_TOKEN,), **STORED},
    ),
)
