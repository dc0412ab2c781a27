-- How often it was committed when all of its log was last carried into the file: an earlier file under this log is missed.
ALTER TABLE meta ADD COLUMN in_file INTEGER NOT NULL DEFAULT 0;
