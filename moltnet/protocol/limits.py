"""Every limit and timer of the wire protocols, in one place.

A name carries its unit; a comment says where the number comes from. Limits of the bridge live in ``bridge/limits.py``.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Identifiers (message model §2). A member id may be an agent FQID, which holds two ids and a prefix.
MAX_ID_CHARACTERS: Final = 128
MAX_REQUEST_ID_CHARACTERS: Final = 128
# An agent id made from a name leaves room for what sets it apart from others of that name.
MAX_SLUG_CHARACTERS: Final = 100
# The runtime and the host of an agent, as the program that attaches it calls them. What is longer is cut.
MAX_ABOUT_CHARACTERS: Final = 128
# Ids made from one name before we give up. Four random bytes set each apart, so a second try is rare.
MAX_MADE_ID_TRIES: Final = 5

# The reference client reads at most 1 MiB of a request, an answer or a frame, so nothing larger may be accepted.
MAX_BODY_BYTES: Final = 1 * MIB
MAX_FRAME_BYTES: Final = 1 * MIB
# A JSON document nested deeper than this is refused before it is walked. Real messages use less than ten levels.
MAX_JSON_DEPTH: Final = 64
# What a part's own data may be nested: an EVENT frame and a page wrap it in five more levels, and must be readable too.
MAX_DATA_DEPTH: Final = MAX_JSON_DEPTH - 8
# What is wrong with one document, as told to its sender: enough to mend it, and never longer than a frame.
MAX_REPORTED_PROBLEMS: Final = 32

# Lists inside one request (message model §5).
MAX_MEMBERS_PER_REQUEST: Final = 256
MAX_PARTICIPANTS: Final = 256
# The reference sets no limit on these; a message is 1 MiB at most, and each part or mention costs work per reader.
MAX_PARTS: Final = 256
MAX_MENTIONS: Final = 256
MAX_NAME_CHARACTERS: Final = 256
# "art_", a message id, "_" and the index of a part. The reference refuses such a cursor if it exceeds an id's length.
MAX_ARTIFACT_ID_CHARACTERS: Final = MAX_ID_CHARACTERS + 8

# What one apply may name of each, rooms and agents: a body of 1 MiB would hold some ten thousand, in one transaction.
MAX_APPLY_ENTRIES: Final = 4096

# Pages (message model §11).
DEFAULT_PAGE_ITEMS: Final = 100
MAX_PAGE_ITEMS: Final = 500

# Attach protocol §3, §4. The reference client needs a frame at least every 10 s and answers PING at once.
HELLO_SECONDS: Final = 10.0
IDENTIFY_SECONDS: Final = 10.0
HEARTBEAT_INTERVAL_MS: Final = 5000
PING_SECONDS: Final = 2.5
READ_IDLE_SECONDS: Final = 10.0
FALLBACK_HEARTBEAT_MS: Final = 30_000
# Without credentials an agent attaches once. Who finds it attached already waits this long for a sign of life of the
# other, which is asked for one every PING_SECONDS; if none comes, its connection is taken for lost.
SILENT_SEAT_SECONDS: Final = 4.0
# If that other is at another server, the question and its answer may take so much longer, and so may the news that it
# has gone.
SEAT_ELSEWHERE_SECONDS: Final = 2.0
# How often an agent's place at another server is asked for meanwhile.
SEAT_AGAIN_SECONDS: Final = 0.25
# How often servers of one network tell each other what callers have used up of their rates: until then, each admits by
# what it knows. A failed sign-in is told at once.
SHARE_SPENT_SECONDS: Final = 0.5
# What is told at once: some 10 ms for the database. More callers than that wait for the next time, which is at once.
MAX_SHARED_BUCKETS: Final = 1000
# Events sent and not yet ACKed before delivery pauses (design §3.4). The reference client buffers 64 frames and
# ACKs one by one, so a window of several buffers keeps it busy without holding much for it.
DELIVERY_WINDOW_EVENTS: Final = 256
# ACKed cursors that a server remembers, so that a repeated ACK is harmless. An honest repeat comes within the client's
# own buffer of 64 frames; every attachment pays for what is more.
MAX_SETTLED_CURSORS: Final = DELIVERY_WINDOW_EVENTS
# Events that a client holds without having ACKed them. A reference server forgets the oldest beyond 1024 and drops
# whoever ACKs it later; a fresh session that resumes by cursor is better.
MAX_CLIENT_UNACKED_EVENTS: Final = 1024
# A server that promises a sign of life only every hour would have its client wait for a dead connection that long.
MAX_HEARTBEAT_MS: Final = 60_000
# What the peer said, repeated in our own texts and logs: enough for an id or for a sentence with its cause.
MAX_QUOTED_CHARACTERS: Final = 64
MAX_ERROR_CHARACTERS: Final = 1024
# A goodbye must not hold a shutdown: the peer has this long to take the close frame.
CLOSE_SECONDS: Final = 2.0

# From the first byte of a request to the last of its head, and then to that of its body. A head is a few hundred bytes;
# a body of 1 MiB in this time is 17 KiB/s.
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
# Bodies that began and have not come whole, once they are longer than this: what a message, a sign-in or a registration
# has is shorter. Each may keep 1 MiB for as long as a body may take, and some come from callers who are not known yet.
FREE_BODY_BYTES: Final = 16 * KIB
MAX_UNFINISHED_BODIES: Final = 512
MAX_UNFINISHED_BODIES_PER_ADDRESS: Final = 256
# Callers that a rate remembers at the same time, about 200 bytes each. Whoever has more addresses than this is not
# stopped by what is remembered of them.
MAX_LIMITED_CALLERS: Final = 65_536
# Places for attachments, handshakes and streams may come free whenever somebody leaves; to ask more often helps nobody.
RETRY_FULL_SECONDS: Final = 5.0
# Proxies in a row. What stands further left in X-Forwarded-For is the caller's own invention.
MAX_PROXIES: Final = 16
# Addresses whose parsed form is kept: parsing takes longer than all else that is done with them.
CACHED_ADDRESSES: Final = 4096
# Files that are no connections of callers: the database and its readers, logs, calls to paired networks.
RESERVED_DESCRIPTORS: Final = 256
# Connections that were refused and may still read why, and for how long. Whoever comes when these are many just sees
# its connection end.
MAX_REFUSED_CONNECTIONS: Final = 64
REFUSED_SECONDS: Final = 1.0

# A peer that takes less than this in this time (6.4 KiB/s) is treated as gone: it would hold what it is sent for ever.
WRITE_BYTES: Final = 64 * KIB
WRITE_SECONDS: Final = 10.0
# What peers have not taken yet, of all connections together; it takes about twice as much memory. A page of 1 MiB for
# each of 250 peers that take none of it. Beyond, those are cut off that took nothing for longest, but none that took
# something within this time: 64 KiB for each of 1,000 agents pass through a line of 1 Gbit/s in half of it.
MAX_UNWRITTEN_BYTES: Final = 256 * MIB
SLOW_PEER_SECONDS: Final = 1.0

# The same of one peer that is served without a framework: a page, or some thousand events. Who has so much waiting is
# cut off and resumes by its cursor.
MAX_WIRE_BACKLOG_BYTES: Final = 4 * MIB
# A head that the fast lane reads: a client that sends more has something unusual in it.
MAX_LANE_HEAD_BYTES: Final = 8 * KIB

# Server-sent events (HTTP API §5).
SSE_KEEP_ALIVE_SECONDS: Final = 15.0
# Events that are written at once. It is copied twice on its way, for each reader that takes it slowly.
SSE_CHUNK_BYTES: Final = 256 * KIB

# Compression of answers. Less than this fits into one or two packets either way.
MIN_COMPRESSED_BYTES: Final = 2 * KIB
# More is compressed in a thread. This takes a third of a millisecond, about what the way to a thread and back does; a
# page of 1 MiB takes 7 ms.
MAX_INLINE_COMPRESSION_BYTES: Final = 64 * KIB
# Answers that are compressed at once in threads. Others wait here, and each holds only itself.
COMPRESSION_THREADS: Final = 2

# Documents for agents: rooms and agents of the caller that they name, and rooms that a command or a file names at once.
# Who sees more finds the rest in the lists of the API, page by page.
MAX_DOCUMENT_ROOMS: Final = 100
MAX_DOCUMENT_AGENTS: Final = 16
MAX_JOINED_ROOMS: Final = 16
# Characters of one value in them: the longest is a list of so many rooms in a command.
MAX_DOCUMENT_VALUE_CHARACTERS: Final = 4096
# A skill that a program may install. The reference reads no more; ours, with everything in it, is less than half of it.
MAX_SKILL_BYTES: Final = 256 * KIB

# Sessions of the console. An operator uses a few browsers; more would be a script that signs in instead of presenting
# its token, and every session is kept in memory by every server.
MAX_SESSIONS_PER_CREDENTIAL: Final = 20
# How long one lasts, whatever it does: long enough for a week of shifts, short enough for a browser that was left open.
SESSION_SECONDS: Final = 7 * 86_400

# How long a wake waits for approval if nobody says: until the same time tomorrow, so that every shift has seen it.
APPROVAL_SECONDS: Final = 86_400
# At most a month: after that nobody knows what the message was about.
LONGEST_APPROVAL_SECONDS: Final = 30 * 86_400
# Of one agent. Who has so many to decide decides none of them with care.
MAX_PENDING_APPROVALS: Final = 256
# When to ask again if there are so many: they go one by one, as somebody decides.
RETRY_APPROVAL_SECONDS: Final = 60.0
# How often it is noted when agents were last there, and of how many at once: nobody needs it to the second.
NOTE_SIGHTINGS_SECONDS: Final = 60.0
MAX_NOTED_SIGHTINGS: Final = 1000
# Why an agent is muted, which it is told with each refusal, and for how long at most: a year. Longer is for ever.
MAX_MUTE_REASON_CHARACTERS: Final = 512
LONGEST_MUTE_MINUTES: Final = 525_600

# A sentence or two on why it was decided like that.
MAX_APPROVAL_NOTE_CHARACTERS: Final = 1024
# A word such as `mention`, in a vocabulary that nodes of other versions may have more of.
MAX_APPROVAL_REASON_CHARACTERS: Final = 64

# Journal: one transaction takes at most this much of what waited (stack measurements: gains end near 512 commands).
MAX_BATCH_COMMANDS: Final = 512
# No more is added to a batch once its messages take this much, so that one commit stays short.
MAX_BATCH_BYTES: Final = 4 * MIB
MAX_QUEUED_COMMANDS: Final = 4096
# What waits for a commit, in messages, those of callers who have hung up included. At 2 MiB/s, which the slowest disks
# do, more than this would wait for longer than any caller does.
MAX_QUEUED_BYTES: Final = 256 * MIB

# Broker: the newest events kept in memory for readers that are almost caught up; older ones come from the store.
RING_EVENTS: Final = 4096
RING_BYTES: Final = 16 * MIB
# Events that one read of the store may return to a reader that catches up.
REPLAY_PAGE_EVENTS: Final = 256
# What one request for a page of events looks at, to find those that its caller may see and wants: SQLite reads so many
# in some 50 ms, and no more than so many bytes of them. Then the page says where to go on.
MAX_EVENTS_LOOKED_AT: Final = 4096
MAX_LOOKED_AT_BYTES: Final = 32 * MIB
# The same for who searches messages, and how many of them are read at once.
MAX_MESSAGES_LOOKED_AT: Final = 4096
SEARCH_PIECE_MESSAGES: Final = 256
# Words that must all stand in a message: each is one more pass through it.
MAX_SEARCH_WORDS: Final = 16

# Texts of metrics that are made at once, each in a thread: more of them would only share the time of one.
CONCURRENT_SCRAPES: Final = 1

# Presence and wake reports that wait to be written: two for each of a few thousand attachments that end at once.
MAX_QUEUED_REPORTS: Final = 16_384
# EVENT frames kept so that readers of the same event share one; a frame may take 1 MiB. Counted once, and there at most
# four times: as an event, a text, a WebSocket message and an event of a stream.
SHARED_FRAMES: Final = 1024
SHARED_FRAME_BYTES: Final = 8 * MIB
# What a reader is sent at once, unless a single event is larger: what is copied once for all, and what a peer that
# stalls keeps of it. A write of more would not be cheaper by the byte.
PASS_BYTES: Final = 256 * KIB
# How often one reader that catches up is sent so much before others get their turn, and how many readers are sent
# something: each time about a millisecond.
PASSES_AT_ONCE: Final = 4
SENDS_AT_ONCE: Final = 256
# Signs of life that are due within this are asked for together.
TIMER_SLACK_SECONDS: Final = 0.05
