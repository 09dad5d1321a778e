"""Every limit and timer of the bridge, in one place.

A name carries its unit; a comment says where the number comes from. Limits of the wire live in
`moltnet/protocol/limits.py`.
"""

from typing import Final

from moltnet.protocol.limits import KIB, MIB

# One turn of a runtime ----------------------------------------------------------------------------------------------
# As long as the reference gives it. A configuration may ask for more; nothing runs without a limit.
TURN_DEFAULT_SECONDS: Final = 300.0
# A runtime that is told to stop gets this long to end its own tools and save its session. Codex and Claude Code need
# far less than a second; a drain of the node must wait longer than this.
TERM_GRACE_SECONDS: Final = 5.0
# After SIGKILL only the kernel can delay an end (a process stuck in a disk or network file system). We wait so long
# for it.
KILL_SECONDS: Final = 3.0
# The keeper does its work within the two times above; one that does not is broken, and is killed itself.
KEEPER_END_SECONDS: Final = TERM_GRACE_SECONDS + KILL_SECONDS + 2.0
# What a finished command has printed is in the pipe already. Only a process out of our reach can hold the pipe open
# longer.
DRAIN_SECONDS: Final = 2.0
# A program that is being written (an installer, an update) cannot be started for a moment. The reference tries as
# often.
TEXT_BUSY_DELAYS_SECONDS: Final = (0.01, 0.02, 0.03, 0.04, 0.05)

# A wake is at most one frame of 1 MiB; a batch of them is cut by the renderer long before this.
MAX_PROMPT_BYTES: Final = 4 * MIB

# Output of one command ----------------------------------------------------------------------------------------------
# What is kept of stdout, for a log or an error text: how it began and how it ended.
KEPT_OUTPUT_HEAD_BYTES: Final = 16 * KIB
KEPT_OUTPUT_TAIL_BYTES: Final = 48 * KIB
# The reason of a failure stands at the end of stderr.
KEPT_ERRORS_BYTES: Final = 16 * KIB
# Codex prints whole tool outputs as one JSON line. No line that matters to us is near this; a longer one is skipped.
MAX_LINE_BYTES: Final = 4 * MIB
# stdout and stderr together. A long turn prints a few MiB; beyond this the command is a flood, which would cost the
# node a whole core, and is stopped.
MAX_OUTPUT_BYTES: Final = 64 * MIB
# An error text goes to logs and status; the rest of what a program said is noise there.
MAX_REASON_CHARACTERS: Final = 500

# Durable sessions -----------------------------------------------------------------------------------------------------
# Conversations whose runtime session is remembered, per store. One costs about 250 bytes and the whole file is written
# per change; the one unused for longest is forgotten first, and its conversation then starts a new session.
MAX_SESSIONS: Final = 2048
# A file larger than its bounded number of sessions could make is not ours.
MAX_SESSION_FILE_BYTES: Final = 4 * MIB
# Another attachment that shares the file holds its lock for one read and one write. Only a stuck process holds it longer.
SESSION_LOCK_SECONDS: Final = 5.0
SESSION_LOCK_RETRY_SECONDS: Final = 0.02
