"""Every limit and timer of the bridge, in one place.

A name carries its unit; a comment says where the number comes from. Limits of the wire live in
`moltnet/protocol/limits.py`.
"""

from typing import Final

from moltnet.protocol.limits import KIB, MIB

# One turn of a runtime ----------------------------------------------------------------------------------------------
# As long as the reference gives it. A configuration may ask for more; nothing runs without a limit.
TURN_DEFAULT_SECONDS: Final = 300.0
# A day: what a configuration may ask for at most.
TURN_LONGEST_SECONDS: Final = 86_400.0
# A runtime that is told to stop gets this long to end its own tools and save its session. Codex and Claude Code need
# far less than a second; a drain of the node must wait longer than this.
TERM_GRACE_SECONDS: Final = 5.0
# After SIGKILL only the kernel can delay an end, for a process stuck in a disk or a network file system.
KILL_SECONDS: Final = 3.0
# The keeper does its work within the two times above; one that does not is broken, and is killed itself.
KEEPER_END_SECONDS: Final = TERM_GRACE_SECONDS + KILL_SECONDS + 2.0
# What a finished command has printed is in the pipe already; only a process out of our reach can hold the pipe open.
DRAIN_SECONDS: Final = 2.0
# A program that is just being written, by an installer for example, cannot be started. The reference tries as often.
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
# Another attachment that shares the file holds its lock for one read and one write. After these 5 s it is stuck.
SESSION_LOCK_RETRY_SECONDS: Final = 0.02
SESSION_LOCK_TRIES: Final = 250

# One connection to the server -----------------------------------------------------------------------------------------
# The reference's times for the upgrade, for one write and for the look at the network before it.
UPGRADE_SECONDS: Final = 45.0
WRITE_SECONDS: Final = 10.0
PREFLIGHT_SECONDS: Final = 15.0
RECEIVE_BYTES: Final = 64 * KIB
# The reference's delays between two tries.
RECONNECT_BASE_SECONDS: Final = 0.5
RECONNECT_CAP_SECONDS: Final = 15.0
# What a server may ask for on top (Retry-After): longer than that, somebody would have restarted the node by then.
MAX_RETRY_AFTER_SECONDS: Final = 600.0
# A connection, or an attachment, that lasted longer than the longest delay was healthy: the delays start over. One that
# is accepted and dropped at once must not be tried twice a second for ever.
HEALTHY_SECONDS: Final = RECONNECT_CAP_SECONDS
# How long a refusal may be the shadow of something that passes: our own lost connection, which the server notices after
# 10 s of silence, or a proxy whose server restarts.
REFUSAL_PATIENCE_SECONDS: Final = 30.0
# A parked attachment looks again this often: a token may have been rotated, a runtime installed.
PARKED_SECONDS: Final = 300.0
# The file of a token that was refused is looked at this often: whoever has just written another one is watching.
TOKEN_LOOK_SECONDS: Final = 2.0

# Brakes ---------------------------------------------------------------------------------------------------------------
# Turns at the same time, in different conversations, if the configuration says nothing else. Each is a process of some
# 100 MB and its own model calls.
TURNS_PER_AGENT: Final = 4
TURNS_PER_NODE: Final = 16
# The pause between two turns of one conversation. What people send in pieces then becomes one turn; beside the turn of
# a model nobody notices it; and a loop of programs that answer at once doesn't take a core.
TURN_COOLDOWN_SECONDS: Final = 1.0
# Turns that one conversation may have within `BUDGET_SECONDS`. Two a minute is more than people keep up for an hour,
# and what comes faster shares turns; two agents that answer each other for ever cost no more than this.
TURNS_PER_HOUR: Final = 120
BUDGET_SECONDS: Final = 3600.0
# What a configuration may ask for at most. Beyond the first number a host has no processes left, beyond the others it
# is no brake, or no agent.
MAX_PARALLEL_TURNS: Final = 256
MAX_COOLDOWN_SECONDS: Final = 3600.0
MAX_TURNS_PER_HOUR: Final = 3600
# Beginnings of turns that are remembered for the budgets of all conversations of an agent, about 220 KiB of its ledger,
# which is written for each turn. The conversation unused for longest is forgotten first.
MAX_COUNTED_TURNS: Final = 20_000

# Turns ----------------------------------------------------------------------------------------------------------------
# What the status of an agent shows: its last turns, and conversations with something to do.
PAST_TURNS: Final = 10
REPORTED_CONVERSATIONS: Final = 50
# What waits for its turn, over all conversations of an agent. Beyond it the connection is given up until half is done;
# the server keeps the rest. The count is the window that servers of ours respect anyway.
MAX_WAITING_WAKES: Final = 256
MAX_WAITING_BYTES: Final = 8 * MIB
# One batch, so one prompt. A model's context is a few hundred KiB of text, and should not be filled by one wake.
MAX_BATCH_WAKES: Final = 32
MAX_BATCH_BYTES: Final = 256 * KIB
# What a wake costs beside its body.
WAKE_HEADER_BYTES: Final = 1 * KIB
# Starts of one turn that ended in failure or in a crash of the node. The delays add up to about five minutes, which
# outlives the usual disturbance of a model's service.
MAX_TURN_ATTEMPTS: Final = 6
TURN_RETRY_BASE_SECONDS: Final = 10.0
TURN_RETRY_CAP_SECONDS: Final = 300.0
# When the node stops, running turns may go on for this long, and are then ended as `TERM_GRACE_SECONDS` says. Service
# managers kill after 30 s (Kubernetes) or 90 s (systemd).
TURN_DRAIN_SECONDS: Final = 15.0
# The whole stop; only something that is stuck needs the rest.
STOP_SECONDS: Final = TURN_DRAIN_SECONDS + KEEPER_END_SECONDS + 2.0

# Prompts --------------------------------------------------------------------------------------------------------------
# The wire allows 1 MiB per message; a prompt shows the beginning and says that there is more.
MAX_SHOWN_BODY_BYTES: Final = 128 * KIB
# Structured data is for programs; this is enough to see what it is.
MAX_SHOWN_DATA_BYTES: Final = 4 * KIB
MAX_HEADER_CHARACTERS: Final = 512
MAX_SHOWN_MENTIONS: Final = 32

# Durable state of an attachment ---------------------------------------------------------------------------------------
# How much later than the wake's own writes the place among ignored events is written.
LEDGER_LAG_SECONDS: Final = 1.0
# Wakes done beyond the cursor: all that other conversations do while the longest turn runs. The oldest is forgotten
# first, and would be done twice if the node crashed then.
MAX_FINISHED_BEYOND_CURSOR: Final = 4096
# Turns begun and not finished when the node ended; those of a room that the agent has left stay for ever otherwise.
MAX_STARTED: Final = 1024
MAX_LEDGER_BYTES: Final = 4 * MIB
# Dead letters that are being tried again: a quarter of the file, which is written for each turn.
MAX_RETAKEN_BYTES: Final = 1 * MIB
# Some thousand records of usual size; then the file becomes the older of two.
MAX_DEAD_LETTER_BYTES: Final = 4 * MIB

# The control socket of a node -----------------------------------------------------------------------------------------
# One request and its answer; a reload reads files, and dead letters of all agents may be tried again.
CONTROL_SECONDS: Final = 30.0
# After a request that could not be accepted: descriptors are short then, and a loop would take a core.
CONTROL_RETRY_SECONDS: Final = 1.0
# At the same time. Each is a command that somebody typed, or a monitor.
MAX_CONTROL_REQUESTS: Final = 16
MAX_CONTROL_REQUEST_BYTES: Final = 64 * KIB
# The dead letters of a thousand agents, whose files are bounded, would not fit; whoever has so many asks for one agent.
MAX_CONTROL_ANSWER_BYTES: Final = 64 * MIB
