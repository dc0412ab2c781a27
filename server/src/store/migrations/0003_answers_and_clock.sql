-- Answers kept for repeated requests: from now on sealed in buckets that die, and the request's hash with
-- them, for the hash of a short text tells the text. Those from before would have lain under keys without an end.
DROP TABLE idempotent_answers;
CREATE TABLE idempotent_answers (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    key_hash BLOB NOT NULL,
    bucket INTEGER NOT NULL,
    answer BLOB NOT NULL, -- sealed: hash of the request, then the answer
    at INTEGER NOT NULL,
    UNIQUE (tenant, key_hash)
) STRICT;
CREATE INDEX idempotent_answers_by_age ON idempotent_answers (at);

-- The latest trusted time by which a key was destroyed, Unix ms; of before nothing is known.
ALTER TABLE meta ADD COLUMN destroyed_by INTEGER NOT NULL DEFAULT 0;
UPDATE meta SET destroyed_by = high_water;

-- What operators said about the clock.
CREATE TABLE clock_acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, -- by the clock in question, Unix ms
    api_key BLOB NOT NULL,
    act INTEGER NOT NULL, -- 1 confirmed, 2 lowered the mark
    mark_before INTEGER NOT NULL
) STRICT;

-- From now on password_hash is empty; what stood there is sealed when the file is opened.
ALTER TABLE agents ADD COLUMN password BLOB; -- sealed

-- A locale is a language, a script and a region; anything may have stood there.
UPDATE visitors SET locale = '' WHERE length(locale) > 11 OR locale GLOB '*[^A-Za-z0-9-]*';
UPDATE conversations SET locale = '' WHERE length(locale) > 11 OR locale GLOB '*[^A-Za-z0-9-]*';
