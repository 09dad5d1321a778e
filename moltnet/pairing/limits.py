"""Every limit and timer of what we ask other networks. How messages are relayed has its own."""

from typing import Final

from moltnet.protocol.limits import KIB, MIB

# One call, connecting included. The reference gives up after this time.
REMOTE_CALL_SECONDS: Final = 10.0
# The reference sends no more in one answer, and reads no more.
MAX_REMOTE_ANSWER_BYTES: Final = 1 * MIB

# A status that is older than this is asked for anew before it is relied on (pairing §4), and on a schedule.
STATUS_SECONDS: Final = 300.0
# So long a refused message counts for more than a check that passes. It is tried again sooner than that, after
# ``LANE_RETRY_CAP_SECONDS`` at the latest, by whichever server relays.
REFUSAL_SECONDS: Final = 600.0
# A network that could not be reached is asked again this soon at first, and then less and less often.
RETRY_BASE_SECONDS: Final = 5.0
RETRY_CAP_SECONDS: Final = 60.0
# Networks that start together find each other; nobody waits for the answer.
FIRST_CHECK_SECONDS: Final = 1.0

# An invitation with a thousand rooms of long names would be longer than anybody copies.
MAX_CODE_CHARACTERS: Final = 16 * KIB
# Open at the same time. Each lets in a network; more would be a script.
MAX_OPEN_INVITATIONS: Final = 64
# How long an invitation is good if nobody says otherwise, and at most: codes stay in mailboxes.
INVITATION_SECONDS: Final = 24 * 3600
LONGEST_INVITATION_SECONDS: Final = 7 * 24 * 3600
# Somebody waits at a terminal for it, and can ask again.
MAX_ACCEPT_TRIES: Final = 3
ACCEPT_RETRY_BASE_SECONDS: Final = 0.5
ACCEPT_RETRY_CAP_SECONDS: Final = 4.0
