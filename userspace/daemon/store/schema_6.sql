-- SPDX-License-Identifier: GPL-2.0-only
-- From version 5 of <state-dir>/keyfilter.db to version 6: owners and labels of keys. Never edited
-- once released.

-- Whose the key is, in whatever words the operator's other books have for it; '': not said.
ALTER TABLE api_key ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE INDEX api_key_owner ON api_key (owner) WHERE owner <> '';

CREATE TABLE key_label (
	key   INTEGER NOT NULL REFERENCES api_key (seq) ON DELETE CASCADE,
	name  TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (key, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_label_value ON key_label (name, value, key);
