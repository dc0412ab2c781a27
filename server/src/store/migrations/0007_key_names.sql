-- From now on name is empty; what stood there is sealed when the file is opened.
ALTER TABLE api_keys ADD COLUMN label BLOB; -- sealed
ALTER TABLE api_keys ADD COLUMN bucket INTEGER; -- of the label
