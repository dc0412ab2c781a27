-- Whose data this is: keys, journal and mark name it too. It is given when the file is opened.
ALTER TABLE meta ADD COLUMN store_id BLOB;
-- How often it was committed: acks are marked with it.
ALTER TABLE meta ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
-- With journal_epoch, the journal's batch up to which everything is here.
ALTER TABLE meta ADD COLUMN journal_batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN journal_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN journal_sum INTEGER NOT NULL DEFAULT 0;
-- 0: all that was in a journal is here. 1: a journal is in use. 2: there may be one of the version before.
ALTER TABLE meta ADD COLUMN journal_need INTEGER NOT NULL DEFAULT 2;
