-- What changed in Organizations whose feed somebody reads, in the order of the commits. No text.
CREATE TABLE IF NOT EXISTS feed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL, -- its row's number
    site INTEGER NOT NULL, -- its row's number; 0: none
    kind INTEGER NOT NULL,
    object BLOB NOT NULL,
    version INTEGER NOT NULL,
    subject BLOB,
    day INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS feed_of_tenant ON feed (tenant);
CREATE TABLE IF NOT EXISTS feed_readers (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    reader TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant, reader)
) STRICT;
