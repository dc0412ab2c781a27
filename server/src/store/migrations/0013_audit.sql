-- Who did what, in chains: an Organization's each, and the operator's. No text, no personal data.
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL, -- whose chain; zeros: the operator's
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor_kind INTEGER NOT NULL,
    actor BLOB NOT NULL,
    purpose INTEGER NOT NULL, -- 0: none
    action INTEGER NOT NULL,
    objects BLOB NOT NULL,
    details BLOB NOT NULL,
    policy INTEGER NOT NULL,
    prev BLOB NOT NULL, -- the hash of the entry before
    hash BLOB NOT NULL,
    UNIQUE (tenant, seq)
) STRICT;
