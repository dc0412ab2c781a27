-- When each conversation changed last: its header, or what was said in it. Within one transaction all have the same
-- moment, and no later transaction has an earlier or the same one, so that whoever asks for what came after a moment
-- misses nothing. Kept apart from the headers: it moves with every batch of messages.
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY, -- the conversation's
    tenant BLOB NOT NULL,
    at INTEGER NOT NULL,
    conversation BLOB NOT NULL
) STRICT;
INSERT OR IGNORE INTO changes (id, tenant, at, conversation)
SELECT c.id, c.tenant,
    max(c.created_at, coalesce(c.closed_at, 0), coalesce(
        (SELECT m.at FROM messages m WHERE m.conversation = c.id ORDER BY m.seq DESC LIMIT 1), 0)),
    c.conversation
FROM conversations c;
CREATE INDEX IF NOT EXISTS changes_in_order ON changes (tenant, at, conversation);
CREATE TABLE IF NOT EXISTS change_mark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL -- the latest of all
) STRICT;
INSERT OR IGNORE INTO change_mark (id, at) SELECT 1, coalesce(max(at), 0) FROM changes;

-- Which conversations have a label, the newest last.
CREATE TABLE IF NOT EXISTS conversation_tags (
    tag BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    conversation BLOB NOT NULL,
    PRIMARY KEY (tag, created_at, conversation)
) STRICT, WITHOUT ROWID;
WITH RECURSIVE places (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM places WHERE n < 63)
INSERT OR IGNORE INTO conversation_tags (tag, created_at, conversation)
SELECT substr(c.tags, 16 * places.n + 1, 16), c.created_at, c.conversation
FROM conversations c JOIN places ON 16 * places.n < length(c.tags);
