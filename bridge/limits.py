"""Every limit and timer of the bridge, in one place.

A name carries its unit; a comment says where the number comes from. Limits of the wire live in
`moltnet/protocol/limits.py`.
"""

from typing import Final

from moltnet.client import limits as client_limits
from moltnet.protocol.limits import KIB, MAX_PENDING_APPROVALS, MIB

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

# What the processes of one turn may use, if the configuration says nothing else ---------------------------------------
# CPU time of each process: four cores, busy for the whole turn.
CPU_SECONDS_PER_TURN_SECOND: Final = 4
# All processes of a turn together: an agent CLI takes up to 1 GiB, a build that it starts two or three.
TURN_MEMORY_MIB: Final = 4096
# All processes of a turn together, threads not counted: a parallel build has some dozens, a fork bomb thousands.
TURN_PROCESSES: Final = 512
# Of each process. Programs that need more than the usual 1024 raise it themselves, up to this.
TURN_OPEN_FILES: Final = 4096
USUAL_OPEN_FILES: Final = 1024
# One file. Whatever an agent writes by mistake in a loop stops here and not when the disk is full.
TURN_FILE_MIB: Final = 4096
# How often the keeper counts the processes of a turn and their memory. It reads some files of /proc: 0.2 ms for ten
# processes.
WATCH_SECONDS: Final = 0.5
# What a configuration may ask for at most: beyond it there is no such machine, or the number is a typing error.
MAX_TURN_CPU_SECONDS: Final = 64 * 86_400
MAX_TURN_MEMORY_MIB: Final = 4 * KIB * KIB
MAX_TURN_PROCESSES: Final = 1_000_000
MAX_TURN_OPEN_FILES: Final = 1_000_000
MAX_TURN_FILE_MIB: Final = 64 * KIB * KIB

# Sandboxes ------------------------------------------------------------------------------------------------------------
# Names in `runtime.sandbox_hosts`. Each is a listening socket per turn.
MAX_SANDBOX_HOSTS: Final = 32
# Connections out of one sandbox at the same time; those beyond it wait. A browser opens six to a host.
MAX_SANDBOX_CONNECTIONS: Final = 64
SANDBOX_DIAL_SECONDS: Final = 30.0
# Of one path, with those of the links on its way. The kernel follows 40 links.
MAX_PATH_STEPS: Final = 512
# The private /tmp lies in memory, which is not counted above.
SANDBOX_TMP_MIB: Final = 512

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
# The reference's time for the look at the network before it.
PREFLIGHT_SECONDS: Final = 15.0
# As every program has it that attaches.
RECONNECT_BASE_SECONDS: Final = client_limits.RECONNECT_BASE_SECONDS
RECONNECT_CAP_SECONDS: Final = client_limits.RECONNECT_CAP_SECONDS
MAX_RETRY_AFTER_SECONDS: Final = client_limits.MAX_RETRY_AFTER_SECONDS
HEALTHY_SECONDS: Final = client_limits.HEALTHY_SECONDS
REFUSAL_PATIENCE_SECONDS: Final = client_limits.REFUSAL_PATIENCE_SECONDS
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

# Approvals ------------------------------------------------------------------------------------------------------------
# Wakes of one agent that wait for an operator, as many as a server of ours keeps for it, and their size: an eighth
# of the ledger, which is written for each turn. What is beyond becomes a dead letter at once, and blocks nothing.
MAX_HELD_WAKES: Final = MAX_PENDING_APPROVALS
MAX_HELD_BYTES: Final = 1 * MIB
# As long as the look at the network before a connection.
APPROVAL_REQUEST_SECONDS: Final = PREFLIGHT_SECONDS
# The delays until the next try, if the server could not be asked. Nobody waits for it: people take longer to decide.
APPROVAL_RETRY_BASE_SECONDS: Final = 1.0
APPROVAL_RETRY_CAP_SECONDS: Final = 60.0
# A decision comes as an event. It is asked for besides, this long after it must have expired;
APPROVAL_OVERDUE_SECONDS: Final = 1.0
# again and again after that, because the two clocks may differ;
APPROVAL_RECHECK_SECONDS: Final = 60.0
# and now and then, because a server may have been restored from a backup, and its events with it.
APPROVAL_LONGEST_SILENCE_SECONDS: Final = 3600.0

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

# Earlier messages in a prompt, if the configuration asks for some: as many as people scroll back, and of each what
# fills a screen or two.
MAX_CONTEXT_MESSAGES: Final = 100
MAX_CONTEXT_BYTES: Final = 64 * KIB
MAX_CONTEXT_BODY_BYTES: Final = 8 * KIB
# Asking for them. Without an answer by then the turn goes on without them.
CONTEXT_SECONDS: Final = 5.0

# Published output -----------------------------------------------------------------------------------------------------
# One message, for people. The wire allows 1 MiB.
MAX_PUBLISHED_BYTES: Final = 64 * KIB
# With the tries again that sending makes by itself. Then the whole turn is tried again.
PUBLISH_SECONDS: Final = 60.0

# Durable state of an attachment ---------------------------------------------------------------------------------------
# How much later than the wake's own writes the place among ignored events is written.
LEDGER_LAG_SECONDS: Final = 1.0
# Wakes done beyond the cursor: all that other conversations do while the longest turn runs. The oldest is forgotten
# first, and would be done twice if the node crashed then.
MAX_FINISHED_BEYOND_CURSOR: Final = 4096
# Turns begun and not finished when the node ended; those of a room that the agent has left stay for ever otherwise.
MAX_STARTED: Final = 1024
# Twice what everything in it may take, because JSON writes some characters longer.
MAX_LEDGER_BYTES: Final = 8 * MIB
# What was missed while the server's log of events did not reach back far enough: how long its history may be read, how
# far back in one conversation, and how many of the wakes that were found there are known by their ids.
MISSED_SECONDS: Final = 60.0
MAX_MISSED_MESSAGES: Final = 1000
MAX_FETCHED_WAKES: Final = 4096
# Dead letters that are being tried again: an eighth of the file, which is written for each turn.
MAX_RETAKEN_BYTES: Final = 1 * MIB
# Some thousand records of usual size; then the file becomes the older of two.
MAX_DEAD_LETTER_BYTES: Final = 4 * MIB

# The OpenClaw gateway -------------------------------------------------------------------------------------------------
# What the gateway itself keeps to (`policy.maxPayload`). Whatever runs in it is told to every client.
MAX_GATEWAY_FRAME_BYTES: Final = 25 * MIB
# From the upgrade to its consent. A gateway that starts says within a second that it does.
GATEWAY_CONNECT_SECONDS: Final = 15.0
# It starts within 5 to 15 s, four times as long on a busy host; then the turn is left for later.
GATEWAY_PATIENCE_SECONDS: Final = 60.0
# Until then it is tried again after at most this time; it is most often on the same host.
GATEWAY_RETRY_CAP_SECONDS: Final = 2.0
# One answer, the wait for a run not counted. A busy gateway takes some seconds to accept a run.
GATEWAY_ANSWER_SECONDS: Final = 30.0
# It ticks every 30 s and says so in `policy.tickIntervalMs`. Three ticks missed, and it is gone.
GATEWAY_TICK_SECONDS: Final = 30.0
MAX_GATEWAY_TICK_SECONDS: Final = 300.0
GATEWAY_TICKS_MISSED: Final = 3
# One question whether a run is over, of a gateway that knows it; and between two looks into the history of one that
# has forgotten it.
GATEWAY_WAIT_SECONDS: Final = 20.0
GATEWAY_LOOK_SECONDS: Final = 1.0
# A gateway that was killed takes its interrupted runs up again within 10 s.
GATEWAY_RESUME_SECONDS: Final = 30.0
# When a turn is cut: the gateway aborts a run within a tenth of a second.
GATEWAY_ABORT_SECONDS: Final = 2.0
# At the same time: one per running turn, of which an agent has no more.
MAX_GATEWAY_REQUESTS: Final = 256
# Entries of a conversation that are looked through for a run and its end.
GATEWAY_HISTORY_ENTRIES: Final = 200
# An Ed25519 key has 119 bytes.
MAX_DEVICE_KEY_BYTES: Final = 4 * KIB
# What the gateway accepts as the name of a session.
MAX_GATEWAY_SESSION_CHARACTERS: Final = 512

# Agents that listen for HTTP or WebSocket -----------------------------------------------------------------------------
# What a model says, and the list of what others have said, with room.
MAX_AGENT_ANSWER_BYTES: Final = 4 * MIB
# What an agent says in one turn, piece by piece; the oldest is forgotten first.
MAX_AGENT_MESSAGES: Final = 64
# TinyClaw tells of responses only who asks. The reference asks as often.
TINYCLAW_POLL_SECONDS: Final = 1.0
# A message that TinyClaw has had before: five tries of a model that fails at once take less.
TINYCLAW_REPEATED_SECONDS: Final = 60.0
# PicoClaw says that it types, and that it has stopped, also between two steps of a turn. What comes next comes sooner.
PICOCLAW_QUIET_SECONDS: Final = 2.0
# The kernel's limit for one argument, the null at its end not counted (MAX_ARG_STRLEN).
MAX_ARGUMENT_BYTES: Final = 128 * KIB - 1

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

# The log that a node keeps in memory ----------------------------------------------------------------------------------
# The newest lines of each agent, so that a busy one does not push out why another is parked; and of all, 256 bytes each
# as a rule. For what lies further back there is the journal of the system.
MAX_LOG_LINES_PER_AGENT: Final = 500
MAX_LOG_LINES: Final = 20_000
MAX_LOG_BYTES: Final = 8 * MIB
# Who follows the log asks again when something came or after this; half of what one request may take.
LOG_WAIT_SECONDS: Final = CONTROL_SECONDS / 2
# At the same time: half of the requests, so that the others can still be made.
MAX_LOG_FOLLOWERS: Final = MAX_CONTROL_REQUESTS // 2
