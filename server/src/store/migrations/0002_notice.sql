-- SHA-256 of the privacy notice that was shown before the conversation began; public words, no person.
ALTER TABLE conversations ADD COLUMN notice BLOB;
