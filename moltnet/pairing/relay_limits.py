"""Every limit and timer of relaying: how much of one pairing is in memory and under way, and when it is tried again."""

from typing import Final

from moltnet.protocol.limits import MIB

# Messages of one pairing under way at once, each of another conversation: as many as the reference sends.
RELAY_SLOTS: Final = 8
# Rows of one pairing in memory, and their bodies together. Of a conversation that does not get on, one stays.
WINDOW_ROWS: Final = 1024
WINDOW_BYTES: Final = 32 * MIB
# Rows of one conversation in memory, and sent before another one has its turn.
LANE_ROWS: Final = 32
# Rows of one read of the store.
READ_ROWS: Final = 256

# A conversation whose message had no answer: seconds at first, minutes in the end. Others go on meanwhile.
LANE_RETRY_BASE_SECONDS: Final = 1.0
LANE_RETRY_CAP_SECONDS: Final = 300.0
# The whole pairing, while nothing is answered. Then one message at a time is tried, so that a network that comes back
# is found within the longest of these and not greeted by all that waits.
PAIRING_RETRY_BASE_SECONDS: Final = 0.5
PAIRING_RETRY_CAP_SECONDS: Final = 60.0
# The longest that another network may ask us to wait (Retry-After).
MAX_RETRY_AFTER_SECONDS: Final = 300.0
# When a pairing that may not be used is looked at again, only here; what the network says is asked on a schedule.
BARRED_SECONDS: Final = 30.0
# Times that the remote may fail over one message (500) while it answers others: at these delays about an hour.
MAX_FAILED_ATTEMPTS: Final = 20

# Between two commits of what was delivered: a JSON file is written whole each time, and nobody waits for it. What a
# crash forgets within it is sent again, which changes nothing there.
SETTLE_PAUSE_SECONDS: Final = 0.05
# Rows that were answered and are not settled, when the storage takes nothing: then nothing more is sent.
MAX_UNSETTLED_ROWS: Final = 1024
SETTLE_RETRY_BASE_SECONDS: Final = 0.5
SETTLE_RETRY_CAP_SECONDS: Final = 15.0
# At the end, for what was delivered last.
LAST_SETTLE_SECONDS: Final = 2.0

# What another network says of a refusal, kept with the dead letter.
MAX_REASON_CHARACTERS: Final = 500
MAX_CODE_CHARACTERS: Final = 64
