-- SPDX-License-Identifier: GPL-2.0-only
-- From version 4 of <state-dir>/keyfilter.db to version 5: models. Never edited once released.

-- The models that are known: what patterns stand for.
CREATE TABLE model (
	name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What groups and keys may be held to: names, and patterns such as qwen*, sorted, with a line feed
-- between two. Equal sets are one row; idx is its number in the kernel, and never comes to be another's.
CREATE TABLE model_set (
	idx   INTEGER PRIMARY KEY AUTOINCREMENT CHECK (idx BETWEEN 1 AND 4294967295),
	names TEXT NOT NULL UNIQUE
) STRICT;

-- NULL: all models.
ALTER TABLE key_group ADD COLUMN models INTEGER REFERENCES model_set (idx);
ALTER TABLE api_key ADD COLUMN models INTEGER REFERENCES model_set (idx);
CREATE INDEX key_group_models ON key_group (models) WHERE models IS NOT NULL;
CREATE INDEX api_key_models ON api_key (models) WHERE models IS NOT NULL;
