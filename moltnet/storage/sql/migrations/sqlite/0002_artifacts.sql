-- The parts of messages that are more than plain text, each as the JSON that lists show.
--
-- `place` grows with every row: the order of messages, and of the parts in them. A thread's artifacts name its room too.

CREATE TABLE artifacts (
    place INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    room_id TEXT REFERENCES rooms (id),
    thread_id TEXT REFERENCES threads (id),
    dm_id TEXT REFERENCES dms (id),
    body BLOB NOT NULL
) STRICT;

CREATE INDEX artifacts_by_room ON artifacts (room_id, place) WHERE room_id IS NOT NULL;
CREATE INDEX artifacts_by_thread ON artifacts (thread_id, place) WHERE thread_id IS NOT NULL;
CREATE INDEX artifacts_by_dm ON artifacts (dm_id, place) WHERE dm_id IS NOT NULL;

-- Those of the messages that are there already. What a part has of `media_type`, `filename` and `url` is kept as it is
-- written there.
INSERT INTO artifacts (id, room_id, thread_id, dm_id, body)
SELECT
    'art_' || message.id || '_' || part.key,
    message.room_id,
    message.thread_id,
    message.dm_id,
    CAST(
        json_patch(
            json_object(
                'id', 'art_' || message.id || '_' || part.key,
                'network_id', network.value,
                'fqid', 'molt://' || network.value || '/artifacts/art_' || message.id || '_' || part.key,
                'message_id', message.id,
                'target', json_extract(CAST(message.body AS TEXT), '$.target'),
                'part_index', part.key,
                'created_at', message.created_at
            ),
            json_remove(part.value, '$.text', '$.data')
        ) AS BLOB
    )
FROM messages AS message
CROSS JOIN json_each(CAST(message.body AS TEXT), '$.parts') AS part
CROSS JOIN (SELECT value FROM meta WHERE key = 'network_id') AS network
WHERE
    json_extract(part.value, '$.kind') <> 'text'
    OR json_type(part.value, '$.url') IS NOT NULL
    OR json_type(part.value, '$.filename') IS NOT NULL
    OR json_type(part.value, '$.media_type') IS NOT NULL
ORDER BY message.seq, part.key;
