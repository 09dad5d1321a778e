-- A database of schema version 1, as that version wrote it. Never changed: later versions must open it.
CREATE TABLE public.agents (
    id text NOT NULL COLLATE pg_catalog."C",
    actor_uid text NOT NULL,
    actor_uri text NOT NULL,
    display_name text NOT NULL,
    credential_key text NOT NULL COLLATE pg_catalog."C",
    created_at text NOT NULL,
    updated_at text NOT NULL
);
CREATE TABLE public.artifacts (
    place bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    room_id text COLLATE pg_catalog."C",
    thread_id text COLLATE pg_catalog."C",
    dm_id text COLLATE pg_catalog."C",
    body bytea NOT NULL
);
ALTER TABLE public.artifacts ALTER COLUMN place ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.artifacts_place_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.directory_changes (
    kind text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT directory_changes_kind_check CHECK ((kind = ANY (ARRAY['room'::text, 'agent'::text, 'agent_removed'::text, 'session'::text, 'pair_network'::text])))
);
CREATE TABLE public.dm_participants (
    dm_id text NOT NULL COLLATE pg_catalog."C",
    participant_id text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.dms (
    id text NOT NULL COLLATE pg_catalog."C",
    message_count bigint NOT NULL,
    last_message_at text NOT NULL
);
CREATE TABLE public.events (
    seq bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL,
    room_id text COLLATE pg_catalog."C",
    dm_id text COLLATE pg_catalog."C",
    agent_id text COLLATE pg_catalog."C",
    message_id text COLLATE pg_catalog."C",
    sender text,
    addressed text,
    created_at text NOT NULL,
    wire bytea
);
CREATE TABLE public.messages (
    seq bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    target_kind text NOT NULL,
    room_id text COLLATE pg_catalog."C",
    thread_id text COLLATE pg_catalog."C",
    dm_id text COLLATE pg_catalog."C",
    created_at text NOT NULL,
    digest bytea NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT messages_target_kind_check CHECK ((target_kind = ANY (ARRAY['room'::text, 'thread'::text, 'dm'::text])))
);
CREATE TABLE public.meta (
    key text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);
CREATE TABLE public.moltnet_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at text NOT NULL
);
CREATE TABLE public.pair_networks (
    credential_key text NOT NULL COLLATE pg_catalog."C",
    network_id text NOT NULL
);
CREATE TABLE public.room_members (
    room_id text NOT NULL COLLATE pg_catalog."C",
    member_id text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.rooms (
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    visibility text NOT NULL,
    write_policy text NOT NULL,
    declaration text NOT NULL,
    created_at text NOT NULL,
    removed_at text
);
CREATE TABLE public.sessions (
    digest text NOT NULL COLLATE pg_catalog."C",
    credential_key text NOT NULL COLLATE pg_catalog."C",
    created_at text NOT NULL,
    expires_at text NOT NULL
);
CREATE TABLE public.threads (
    id text NOT NULL COLLATE pg_catalog."C",
    room_id text NOT NULL COLLATE pg_catalog."C",
    parent_message_id text COLLATE pg_catalog."C",
    message_count bigint NOT NULL,
    last_message_at text NOT NULL
);
INSERT INTO public.agents (id, actor_uid, actor_uri, display_name, credential_key, created_at, updated_at) VALUES ('alpha', 'actor_alpha_0', 'molt://net_a/agents/alpha', 'Al\0pha', 'key1', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z');
INSERT INTO public.artifacts (place, id, room_id, thread_id, dm_id, body) OVERRIDING SYSTEM VALUE VALUES (1, 'art_m4_0', 'general', NULL, NULL, '\x7b226964223a226172745f6d345f30222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6172746966616374732f6172745f6d345f30222c226d6573736167655f6964223a226d34222c22746172676574223a7b226b696e64223a22726f6f6d222c22726f6f6d5f6964223a2267656e6572616c227d2c22706172745f696e646578223a302c226b696e64223a2275726c222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c2275726c223a22687474703a2f2f612e74657374227d');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('room', 'general', 1, '2026-11-20 10:32:38.116043+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('agent', 'alpha', 1, '2026-11-20 10:32:38.116043+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('agent', 'gone', 1, '2026-11-20 10:32:38.116043+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('room', 'old', 2, '2026-11-20 10:32:38.136769+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('agent_removed', 'gone', 2, '2026-11-20 10:32:38.136769+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('session', 'digest', 2, '2026-11-20 10:32:38.136769+00');
INSERT INTO public.directory_changes (kind, key, revision, changed_at) VALUES ('pair_network', 'key9', 2, '2026-11-20 10:32:38.136769+00');
INSERT INTO public.dm_participants (dm_id, participant_id) VALUES ('d1', 'alpha');
INSERT INTO public.dm_participants (dm_id, participant_id) VALUES ('d1', 'net_b:beta');
INSERT INTO public.dms (id, message_count, last_message_at) VALUES ('d1', 1, '2026-01-02T03:04:05Z');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (1, 'evt_0045abf2-4fc8-4952-a6da-0c34ea5f6a5d', 'room.created', 'general', NULL, NULL, NULL, NULL, NULL, '2026-01-02T03:04:05Z', '\x7b226964223a226576745f30303435616266322d346663382d343935322d613664612d306333346561356636613564222c2274797065223a22726f6f6d2e63726561746564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c22726f6f6d223a7b226964223a2267656e6572616c222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f726f6f6d732f67656e6572616c222c226e616d65223a22415c5c42222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c227669736962696c697479223a2270726976617465222c2277726974655f706f6c696379223a226d656d62657273222c226d656d62657273223a5b22616c706861225d7d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (2, 'evt_ca0df2c9-5aa1-44c1-90ff-2ff3c8f967fd', 'message.created', 'general', NULL, NULL, 'm1', 'molt://net_a/agents/alpha', '["molt://net_a/agents/beta"]', '2026-01-02T03:04:05Z', NULL);
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (3, 'evt_c1250a24-ecea-4dd7-9cf1-3abcee699448', 'thread.created', 'general', NULL, NULL, NULL, 'molt://net_a/agents/alpha', NULL, '2026-01-02T03:04:05Z', '\x7b226964223a226576745f63313235306132342d656365612d346464372d396366312d336162636565363939343438222c2274797065223a227468726561642e63726561746564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c22746872656164223a7b226964223a227431222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f746872656164732f7431222c22726f6f6d5f6964223a2267656e6572616c222c226d6573736167655f636f756e74223a312c226c6173745f6d6573736167655f6174223a22323032362d30312d30325430333a30343a30355a222c22706172656e745f6d6573736167655f6964223a226d31227d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (4, 'evt_29c1b289-e752-4195-b362-e44f54e05470', 'message.created', 'general', NULL, NULL, 'm2', 'molt://net_a/agents/alpha', NULL, '2026-01-02T03:04:05Z', NULL);
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (5, 'evt_f5491ef2-8e20-4280-9ac1-ec87a5bf44b5', 'dm.created', NULL, 'd1', NULL, NULL, 'molt://net_a/agents/alpha', '["molt://net_a/agents/alpha","molt://net_b/agents/beta"]', '2026-01-02T03:04:05Z', '\x7b226964223a226576745f66353439316566322d386532302d343238302d396163312d656338376135626634346235222c2274797065223a22646d2e63726561746564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c22646d223a7b226964223a226431222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f646d732f6431222c226d6573736167655f636f756e74223a312c226c6173745f6d6573736167655f6174223a22323032362d30312d30325430333a30343a30355a222c227061727469636970616e745f696473223a5b22616c706861222c226e65745f623a62657461225d7d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (6, 'evt_153812ae-5fea-4b73-a011-bf28bd7cea93', 'message.created', NULL, 'd1', NULL, 'm3', 'molt://net_a/agents/alpha', '["molt://net_a/agents/alpha","molt://net_b/agents/beta"]', '2026-01-02T03:04:05Z', NULL);
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (7, 'evt_wake', 'agent.wake.delivered', NULL, NULL, 'beta', 'm1', NULL, NULL, '2026-01-02T03:04:09Z', '\x7b226964223a226576745f77616b65222c2274797065223a226167656e742e77616b652e64656c697665726564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30395a222c226167656e74223a7b226167656e745f6964223a2262657461222c226e6574776f726b5f6964223a226e65745f61222c226d6573736167655f6964223a226d31227d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (8, 'evt_2396a125-6ac4-41c6-849c-931ddb8018bd', 'message.created', 'general', NULL, NULL, 'm4', 'molt://net_a/agents/alpha', NULL, '2026-01-02T03:04:05Z', NULL);
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (9, 'evt_45a3c2ee-f29a-4a4f-8f3a-7301aa080860', 'room.created', 'old', NULL, NULL, NULL, NULL, NULL, '2026-01-02T03:04:05Z', '\x7b226964223a226576745f34356133633265652d663239612d346134662d386633612d373330316161303830383630222c2274797065223a22726f6f6d2e63726561746564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c22726f6f6d223a7b226964223a226f6c64222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f726f6f6d732f6f6c64222c226e616d65223a226f6c64222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c227669736962696c697479223a2270726976617465222c2277726974655f706f6c696379223a226d656d62657273227d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (10, 'evt_75b13ec9-30ad-44b8-b47f-ac7de39a7b6f', 'room.removed', 'old', NULL, NULL, NULL, NULL, NULL, '2026-01-02T03:04:14Z', '\x7b226964223a226576745f37356231336563392d333061642d343462382d623437662d616337646533396137623666222c2274797065223a22726f6f6d2e72656d6f766564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a31345a222c22726f6f6d223a7b226964223a226f6c64222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f726f6f6d732f6f6c64222c226e616d65223a226f6c64222c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c227669736962696c697479223a2270726976617465222c2277726974655f706f6c696379223a226d656d62657273227d7d');
INSERT INTO public.events (seq, id, type, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire) VALUES (11, 'evt_62b488e2-ec2b-47c4-9199-327f94256219', 'agent.removed', NULL, NULL, 'gone', NULL, NULL, NULL, '2026-01-02T03:04:14Z', '\x7b226964223a226576745f36326234383865322d656332622d343763342d393139392d333237663934323536323139222c2274797065223a226167656e742e72656d6f766564222c226e6574776f726b5f6964223a226e65745f61222c22637265617465645f6174223a22323032362d30312d30325430333a30343a31345a222c226167656e74223a7b226167656e745f6964223a22676f6e65222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6167656e74732f676f6e65222c22726561736f6e223a2272656d6f766564227d7d');
INSERT INTO public.messages (seq, id, target_kind, room_id, thread_id, dm_id, created_at, digest, body) VALUES (2, 'm1', 'room', 'general', NULL, NULL, '2026-01-02T03:04:05Z', '\xab62397cce4939250b57d44026c2483e789a255e2cc0cd01f09c22ca2366a45d', '\x7b226964223a226d31222c226e6574776f726b5f6964223a226e65745f61222c226f726967696e223a7b226e6574776f726b5f6964223a226e65745f61222c226d6573736167655f6964223a226d31227d2c22746172676574223a7b226b696e64223a22726f6f6d222c22726f6f6d5f6964223a2267656e6572616c227d2c2266726f6d223a7b2274797065223a226167656e74222c226964223a22616c706861222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6167656e74732f616c706861227d2c227061727473223a5b7b226b696e64223a2274657874222c2274657874223a2268656c6c6f227d5d2c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a222c226d656e74696f6e73223a5b226d6f6c743a2f2f6e65745f612f6167656e74732f62657461225d7d');
INSERT INTO public.messages (seq, id, target_kind, room_id, thread_id, dm_id, created_at, digest, body) VALUES (4, 'm2', 'thread', 'general', 't1', NULL, '2026-01-02T03:04:05Z', '\xbfafc01711cf35b56ba99328d5ddb8d0c57e3e8cfc89e2c9d0901cc9e328b098', '\x7b226964223a226d32222c226e6574776f726b5f6964223a226e65745f61222c226f726967696e223a7b226e6574776f726b5f6964223a226e65745f61222c226d6573736167655f6964223a226d32227d2c22746172676574223a7b226b696e64223a22746872656164222c22726f6f6d5f6964223a2267656e6572616c222c227468726561645f6964223a227431222c22706172656e745f6d6573736167655f6964223a226d31227d2c2266726f6d223a7b2274797065223a226167656e74222c226964223a22616c706861222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6167656e74732f616c706861227d2c227061727473223a5b7b226b696e64223a2274657874222c2274657874223a2268656c6c6f227d5d2c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a227d');
INSERT INTO public.messages (seq, id, target_kind, room_id, thread_id, dm_id, created_at, digest, body) VALUES (6, 'm3', 'dm', NULL, NULL, 'd1', '2026-01-02T03:04:05Z', '\xa9ea1d8eefd7ffb964eb11c07812f3ddad981c03071b62cb705f14084d452b15', '\x7b226964223a226d33222c226e6574776f726b5f6964223a226e65745f61222c226f726967696e223a7b226e6574776f726b5f6964223a226e65745f61222c226d6573736167655f6964223a226d33227d2c22746172676574223a7b226b696e64223a22646d222c22646d5f6964223a226431222c227061727469636970616e745f696473223a5b22616c706861222c226e65745f623a62657461225d7d2c2266726f6d223a7b2274797065223a226167656e74222c226964223a22616c706861222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6167656e74732f616c706861227d2c227061727473223a5b7b226b696e64223a2274657874222c2274657874223a2268656c6c6f227d5d2c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a227d');
INSERT INTO public.messages (seq, id, target_kind, room_id, thread_id, dm_id, created_at, digest, body) VALUES (8, 'm4', 'room', 'general', NULL, NULL, '2026-01-02T03:04:05Z', '\xdb2153edbeddeba70c38baaed35b086cd36dcaacf4d3c649f3193836efb5091e', '\x7b226964223a226d34222c226e6574776f726b5f6964223a226e65745f61222c226f726967696e223a7b226e6574776f726b5f6964223a226e65745f61222c226d6573736167655f6964223a226d34227d2c22746172676574223a7b226b696e64223a22726f6f6d222c22726f6f6d5f6964223a2267656e6572616c227d2c2266726f6d223a7b2274797065223a226167656e74222c226964223a22616c706861222c226e6574776f726b5f6964223a226e65745f61222c2266716964223a226d6f6c743a2f2f6e65745f612f6167656e74732f616c706861227d2c227061727473223a5b7b226b696e64223a2275726c222c2275726c223a22687474703a2f2f612e74657374227d5d2c22637265617465645f6174223a22323032362d30312d30325430333a30343a30355a227d');
INSERT INTO public.meta (key, value) VALUES ('network_id', 'net_a');
INSERT INTO public.moltnet_migrations (version, name, applied_at) VALUES (1, 'initial', '2026-11-20T10:32:38.073582Z');
INSERT INTO public.pair_networks (credential_key, network_id) VALUES ('key9', 'net_b');
INSERT INTO public.room_members (room_id, member_id) VALUES ('general', 'alpha');
INSERT INTO public.rooms (id, name, visibility, write_policy, declaration, created_at, removed_at) VALUES ('general', 'A\\B', 'private', 'members', 'digest', '2026-01-02T03:04:05Z', NULL);
INSERT INTO public.rooms (id, name, visibility, write_policy, declaration, created_at, removed_at) VALUES ('old', 'old', 'private', 'members', '', '2026-01-02T03:04:05Z', '2026-01-02T03:04:14Z');
INSERT INTO public.sessions (digest, credential_key, created_at, expires_at) VALUES ('digest', 'key1', '2026-01-02T03:04:05Z', '2026-01-02T03:05:45Z');
INSERT INTO public.threads (id, room_id, parent_message_id, message_count, last_message_at) VALUES ('t1', 'general', 'm1', 1, '2026-01-02T03:04:05Z');
SELECT pg_catalog.setval('public.artifacts_place_seq', 1, true);
ALTER TABLE ONLY public.agents
    ADD CONSTRAINT agents_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_id_key UNIQUE (id);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (place);
ALTER TABLE ONLY public.directory_changes
    ADD CONSTRAINT directory_changes_pkey PRIMARY KEY (kind, key);
ALTER TABLE ONLY public.dm_participants
    ADD CONSTRAINT dm_participants_pkey PRIMARY KEY (dm_id, participant_id);
ALTER TABLE ONLY public.dms
    ADD CONSTRAINT dms_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_id_key UNIQUE (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_id_key UNIQUE (id);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.moltnet_migrations
    ADD CONSTRAINT moltnet_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.pair_networks
    ADD CONSTRAINT pair_networks_pkey PRIMARY KEY (credential_key);
ALTER TABLE ONLY public.room_members
    ADD CONSTRAINT room_members_pkey PRIMARY KEY (room_id, member_id);
ALTER TABLE ONLY public.rooms
    ADD CONSTRAINT rooms_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.threads
    ADD CONSTRAINT threads_pkey PRIMARY KEY (id);
CREATE INDEX agents_by_credential ON public.agents USING btree (credential_key);
CREATE INDEX artifacts_by_dm ON public.artifacts USING btree (dm_id, place) WHERE (dm_id IS NOT NULL);
CREATE INDEX artifacts_by_room ON public.artifacts USING btree (room_id, place) WHERE (room_id IS NOT NULL);
CREATE INDEX artifacts_by_thread ON public.artifacts USING btree (thread_id, place) WHERE (thread_id IS NOT NULL);
CREATE INDEX directory_changes_by_revision ON public.directory_changes USING btree (revision);
CREATE INDEX dm_participants_by_participant ON public.dm_participants USING btree (participant_id, dm_id);
CREATE INDEX messages_by_dm ON public.messages USING btree (dm_id, seq) WHERE (target_kind = 'dm'::text);
CREATE INDEX messages_by_room ON public.messages USING btree (room_id, seq) WHERE (target_kind = 'room'::text);
CREATE INDEX messages_by_thread ON public.messages USING btree (thread_id, seq) WHERE (target_kind = 'thread'::text);
CREATE INDEX room_members_by_member ON public.room_members USING btree (member_id, room_id);
CREATE INDEX threads_by_room ON public.threads USING btree (room_id, id);
ALTER TABLE ONLY public.dm_participants
    ADD CONSTRAINT dm_participants_dm_id_fkey FOREIGN KEY (dm_id) REFERENCES public.dms(id);
ALTER TABLE ONLY public.room_members
    ADD CONSTRAINT room_members_room_id_fkey FOREIGN KEY (room_id) REFERENCES public.rooms(id);
ALTER TABLE ONLY public.threads
    ADD CONSTRAINT threads_room_id_fkey FOREIGN KEY (room_id) REFERENCES public.rooms(id);
