-- Messages of the journal up to this epoch are here.
ALTER TABLE meta ADD COLUMN journal_epoch INTEGER NOT NULL DEFAULT 0;
