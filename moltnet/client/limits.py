"""Every limit and timer of the HTTP client. What the wire itself allows is in ``moltnet.protocol.limits``."""

from typing import Final

from moltnet.protocol.limits import KIB, MIB

# A page holds at most 500 messages of 1 MiB; real ones take some 100 KiB. Who meets this limit asks for a smaller page.
MAX_ANSWER_BYTES: Final = 16 * MIB
# Status line and headers. Servers and proxies stop between 8 and 64 KiB.
MAX_HEAD_BYTES: Final = 64 * KIB
# 1xx answers before the real one. One (100, 103) is usual; without a bound a server could send them for ever.
MAX_INFORMATIONAL_ANSWERS: Final = 16
RECEIVE_BYTES: Final = 64 * KIB
# An error's text is for one line of a terminal or a log.
MAX_ERROR_TEXT_CHARACTERS: Final = 500

# One of the addresses of a name that was looked up and checked: a lost packet is sent again after one second, and after
# three; then the next address has its turn.
ADDRESS_SECONDS: Final = 3.5
# Connections of one client at the same time, streams not counted. A bridge does one thing at a time per conversation.
MAX_CONNECTIONS: Final = 8
# Common servers close an idle connection after five seconds or more; one that waited longer is not worth the risk.
MAX_IDLE_SECONDS: Final = 4.0

# A send is tried again until the caller's deadline; without one, this often. Eight tries take about half a minute.
MAX_SEND_TRIES: Final = 8
# One try. The reference gives up after this time; a server under load has answered long before.
SEND_TRY_SECONDS: Final = 10.0
SEND_RETRY_BASE_SECONDS: Final = 0.25
SEND_RETRY_CAP_SECONDS: Final = 8.0
# A server may ask for more patience (Retry-After) than a caller without a deadline has.
MAX_UNBOUNDED_WAIT_SECONDS: Final = 60.0

# A server writes a comment every 15 s when nothing happens: after three missing ones the connection is dead.
EVENT_SILENCE_SECONDS: Final = 45.0
EVENT_RETRY_BASE_SECONDS: Final = 0.5
EVENT_RETRY_CAP_SECONDS: Final = 15.0
# An event holds a message of 1 MiB, and some servers escape a character into six.
MAX_SSE_EVENT_BYTES: Final = 8 * MIB

# Attachments: the reference's times for the upgrade of a connection, and for one write.
UPGRADE_SECONDS: Final = 45.0
WRITE_SECONDS: Final = 10.0
# Between two tries to attach, as the reference has it.
RECONNECT_BASE_SECONDS: Final = 0.5
RECONNECT_CAP_SECONDS: Final = 15.0
# What a server may ask for on top (Retry-After): longer than that, somebody would have restarted the program by then.
MAX_RETRY_AFTER_SECONDS: Final = 600.0
# A connection that lasted longer than the longest delay was healthy: the delays start over. One that is accepted and
# dropped at once must not be tried twice a second for ever.
HEALTHY_SECONDS: Final = RECONNECT_CAP_SECONDS
# How long a refusal may be the shadow of something that passes: our own lost connection, which the server notices after
# 10 s of silence, or a proxy whose server restarts.
REFUSAL_PATIENCE_SECONDS: Final = 30.0
