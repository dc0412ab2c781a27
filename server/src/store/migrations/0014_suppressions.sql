-- Whom an Organization erased and may not take in again by itself: no value, a keyed hash of it.
CREATE TABLE IF NOT EXISTS suppressions (
    id INTEGER PRIMARY KEY,
    suppression BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    kind INTEGER NOT NULL,
    identifier_hash BLOB NOT NULL, -- keyed
    basis INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    review_at INTEGER NOT NULL,
    request BLOB,
    UNIQUE (tenant, kind, identifier_hash)
) STRICT;
CREATE INDEX IF NOT EXISTS suppressions_of_tenant ON suppressions (tenant);
