-- One-time links by which agents who forgot their password set a new one; one for each agent at most.
-- Nothing here is about a person but the agent's id.
CREATE TABLE password_resets (
    id INTEGER PRIMARY KEY,
    agent BLOB NOT NULL UNIQUE,
    tenant BLOB NOT NULL,
    secret BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
