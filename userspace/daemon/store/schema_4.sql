-- SPDX-License-Identifier: GPL-2.0-only
-- From version 3 of <state-dir>/keyfilter.db to version 4: groups of keys. Never edited once released.

-- idx is the place of the group in the kernel. protocols: 1 << enum kf_protocol of each that its keys
-- may use.
CREATE TABLE key_group (
	idx       INTEGER PRIMARY KEY CHECK (idx BETWEEN 1 AND 4095),
	name      TEXT NOT NULL UNIQUE,
	protocols INTEGER NOT NULL CHECK (protocols BETWEEN 1 AND 7),
	revision  INTEGER NOT NULL
) STRICT;

-- NULL: the key is in no group, and may use everything.
ALTER TABLE api_key ADD COLUMN in_group INTEGER REFERENCES key_group (idx);
CREATE INDEX api_key_group ON api_key (in_group) WHERE in_group IS NOT NULL;
