-- The tables of the first (Go) implementation of Moltnet as one JSON document, for first_implementation.py:
--     psql -qAt -f first_implementation.sql "$DSN" > tables.json
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL TIME ZONE 'UTC';
SELECT json_build_object(
    'rooms', (SELECT json_agg(t) FROM rooms t),
    'room_members', (SELECT json_agg(t) FROM room_members t),
    'threads', (SELECT json_agg(t) FROM threads t),
    'dm_conversations', (SELECT json_agg(t) FROM dm_conversations t),
    'dm_participants', (SELECT json_agg(t) FROM dm_participants t),
    'messages', (SELECT json_agg(t) FROM messages t),
    'agents', (SELECT json_agg(t) FROM agents t)
);
COMMIT;
