-- What some readers of a conversation do not get, as runs of places without a gap: 1 notes, 2 notes and lines of the
-- system, 3 lines of the system. A page passes over each in one step.
CREATE TABLE message_runs (
    conversation INTEGER NOT NULL,
    run INTEGER NOT NULL,
    last INTEGER NOT NULL,
    first INTEGER NOT NULL,
    PRIMARY KEY (conversation, run, last)
) STRICT, WITHOUT ROWID;
INSERT INTO message_runs (conversation, run, last, first)
SELECT conversation, 1, max(seq), min(seq)
FROM (SELECT conversation, seq, seq - row_number() OVER (PARTITION BY conversation ORDER BY seq) AS island
      FROM messages WHERE visibility = 1)
GROUP BY conversation, island;
INSERT INTO message_runs (conversation, run, last, first)
SELECT conversation, 2, max(seq), min(seq)
FROM (SELECT conversation, seq, seq - row_number() OVER (PARTITION BY conversation ORDER BY seq) AS island
      FROM messages WHERE visibility = 1 OR author = 3)
GROUP BY conversation, island;
INSERT INTO message_runs (conversation, run, last, first)
SELECT conversation, 3, max(seq), min(seq)
FROM (SELECT conversation, seq, seq - row_number() OVER (PARTITION BY conversation ORDER BY seq) AS island
      FROM messages WHERE author = 3)
GROUP BY conversation, island;

-- Up to this place a conversation is searched for an id: most are never so long, and pay nothing for the index.
CREATE INDEX messages_by_id ON messages (conversation, message) WHERE seq > 256;

-- Every list of conversations is a walk along one of these, the newest first. Where the state is not asked for, there
-- is one walk for each.
CREATE INDEX conversations_in_state ON conversations (tenant, state, created_at, conversation);
CREATE INDEX conversations_of_site ON conversations (tenant, site, state, created_at, conversation);
CREATE INDEX conversations_of_agent ON conversations (tenant, assignee, state, created_at, conversation)
    WHERE assignee IS NOT NULL;
CREATE INDEX conversations_of_agent_at_site
    ON conversations (tenant, assignee, site, state, created_at, conversation)
    WHERE assignee IS NOT NULL;
DROP INDEX conversations_of_visitor;
CREATE INDEX conversations_of_visitor ON conversations (visitor, state, created_at, conversation);
CREATE INDEX conversations_of_visitor_with_agent
    ON conversations (visitor, assignee, state, created_at, conversation)
    WHERE assignee IS NOT NULL;

CREATE INDEX agents_of_tenant ON agents (tenant);
CREATE INDEX tags_of_tenant ON tags (tenant);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX invitations_by_end ON invitations (expires_at);
