-- Prepared answers: an agent's own, or the Organization's.
CREATE TABLE IF NOT EXISTS canned_responses (
    id INTEGER PRIMARY KEY,
    canned_response BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    person BLOB NOT NULL, -- an agent, or the Organization itself
    bucket INTEGER NOT NULL,
    words BLOB NOT NULL, -- sealed: shortcut, title, text
    shortcut_hash BLOB NOT NULL, -- keyed
    used INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant, shortcut_hash)
) STRICT;
CREATE INDEX IF NOT EXISTS canned_responses_of_tenant ON canned_responses (tenant);
