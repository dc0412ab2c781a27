-- Ids are 16 bytes. Columns that hold sealed values say so; everything else says nothing about a person.

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The key store's number when the newest batch was committed.
    generation INTEGER NOT NULL,
    -- A keyed hash of nothing: other keys would give another one.
    keys_mark BLOB NOT NULL,
    -- The latest trusted time, Unix ms.
    high_water INTEGER NOT NULL,
    -- Written to find out whether the disk takes writes again.
    pulse INTEGER NOT NULL
) STRICT;

-- One for each tenant, site (empty: none), class and day with a sealed value.
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant BLOB NOT NULL,
    site BLOB NOT NULL,
    class INTEGER NOT NULL,
    day INTEGER NOT NULL,
    -- Its messages' rowids lie in first .. end.
    message_first INTEGER NOT NULL,
    message_end INTEGER NOT NULL,
    UNIQUE (tenant, site, class, day)
) STRICT;

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    privacy_contact BLOB, -- sealed
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sites (
    id INTEGER PRIMARY KEY,
    site BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    site_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    timeline TEXT NOT NULL, -- JSON
    settings TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sites_of_tenant ON sites (tenant);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    agent BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    name BLOB NOT NULL, -- sealed
    email BLOB NOT NULL, -- sealed
    -- Keyed hash of the e-mail's normal form; at login the tenant is unknown, so it is the same in all.
    email_hash BLOB NOT NULL,
    role INTEGER NOT NULL,
    active INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    availability INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant, email_hash)
) STRICT;
CREATE INDEX agents_by_email ON agents (email_hash);

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session BLOB NOT NULL UNIQUE,
    agent BLOB NOT NULL,
    tenant BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    secret BLOB NOT NULL UNIQUE,
    client BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of_agent ON sessions (agent);

CREATE TABLE invitations (
    id INTEGER PRIMARY KEY,
    invitation BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    email BLOB NOT NULL, -- sealed
    role INTEGER NOT NULL,
    secret BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invitations_of_tenant ON invitations (tenant);

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    api_key BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL, -- empty: the operator's
    name TEXT NOT NULL,
    scopes TEXT NOT NULL, -- one a line
    secret BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_of_tenant ON api_keys (tenant);

CREATE TABLE tags (
    id INTEGER PRIMARY KEY,
    tag BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE idempotent_answers (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    key_hash BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    request BLOB NOT NULL,
    answer BLOB NOT NULL, -- sealed
    at INTEGER NOT NULL,
    UNIQUE (tenant, key_hash)
) STRICT;
CREATE INDEX idempotent_answers_by_age ON idempotent_answers (at);

CREATE TABLE visitors (
    id INTEGER PRIMARY KEY,
    visitor BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    site BLOB NOT NULL,
    bucket INTEGER, -- of name and email; null once they are gone
    name BLOB, -- sealed
    email BLOB, -- sealed
    locale TEXT NOT NULL,
    contact_day INTEGER NOT NULL,
    secret BLOB NOT NULL,
    secret_before BLOB,
    secret_before_at INTEGER,
    secret_expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX visitors_of_tenant ON visitors (tenant);
CREATE INDEX visitors_by_secret ON visitors (secret);
CREATE INDEX visitors_by_secret_before ON visitors (secret_before) WHERE secret_before IS NOT NULL;
CREATE INDEX visitors_of_bucket ON visitors (bucket) WHERE bucket IS NOT NULL;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    site BLOB NOT NULL,
    visitor BLOB NOT NULL,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    assignee BLOB,
    offline_message INTEGER NOT NULL,
    agents BLOB NOT NULL, -- ids, one after the other
    tags BLOB NOT NULL, -- ids, one after the other
    bucket INTEGER, -- of form and page; null once they are gone
    form BLOB, -- sealed
    page_url BLOB, -- sealed
    page_title BLOB, -- sealed
    locale TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    waiting_since INTEGER,
    closed_at INTEGER,
    -- The newest place among messages that were cleaned up: places are not given again.
    seq_floor INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX conversations_newest ON conversations (tenant, created_at, conversation);
CREATE INDEX conversations_of_visitor ON conversations (visitor);
CREATE INDEX conversations_live ON conversations (created_at, conversation) WHERE state <> 4;
CREATE INDEX conversations_of_bucket ON conversations (bucket) WHERE bucket IS NOT NULL;

-- In the order in which they came. The unique pair is the only index: rows of a bucket are found by
-- their range of rowids.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    message BLOB NOT NULL,
    author INTEGER NOT NULL,
    agent BLOB,
    visibility INTEGER NOT NULL,
    at INTEGER NOT NULL,
    seen_seq INTEGER NOT NULL,
    purposes INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    policy INTEGER NOT NULL,
    body BLOB NOT NULL, -- sealed
    UNIQUE (conversation, seq)
) STRICT;

CREATE TABLE marks (
    conversation INTEGER NOT NULL,
    author INTEGER NOT NULL,
    agent BLOB NOT NULL, -- empty: none
    delivered INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (conversation, author, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE drafts (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    agent BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    day INTEGER NOT NULL,
    text BLOB NOT NULL, -- sealed
    UNIQUE (conversation, agent)
) STRICT;
CREATE INDEX drafts_of_agent ON drafts (agent);
CREATE INDEX drafts_of_bucket ON drafts (bucket);
