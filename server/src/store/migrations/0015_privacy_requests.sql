-- What people asked for about their data.
CREATE TABLE IF NOT EXISTS privacy_requests (
    id INTEGER PRIMARY KEY,
    privacy_request BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    subjects BLOB NOT NULL, -- for each: 0 visitor or 1 agent, and their id
    created_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    words BLOB NOT NULL, -- sealed
    outcome TEXT NOT NULL, -- counts, JSON
    certificate TEXT NOT NULL -- ids, counts and days, JSON
) STRICT;
CREATE INDEX IF NOT EXISTS privacy_requests_of_tenant ON privacy_requests (tenant);
CREATE INDEX IF NOT EXISTS privacy_requests_by_end ON privacy_requests (ends_at);
