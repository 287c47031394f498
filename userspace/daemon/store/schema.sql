-- SPDX-License-Identifier: GPL-2.0-only
-- Version 1 of <state-dir>/keyfilter.db. Never edited once released: a change is a further
-- migration in sqlite.c. Times are wall-clock nanoseconds since the epoch, NULL: never.
-- Addresses are 16 bytes in network order, IPv4 mapped; prefix_len counts their bits.

CREATE TABLE service (
	name        TEXT PRIMARY KEY,
	idx         INTEGER NOT NULL UNIQUE CHECK (idx BETWEEN 0 AND 255),
	listen_addr BLOB CHECK (length(listen_addr) = 16), -- NULL: any address
	port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
	mode        INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 1),   -- enum kf_mode
	refuse      INTEGER NOT NULL CHECK (refuse BETWEEN 0 AND 2), -- enum kf_refuse
	key_sources INTEGER NOT NULL,
	flags       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX service_listen ON service (coalesce(listen_addr, x''), port);

CREATE TABLE iface (
	dev      TEXT PRIMARY KEY,
	mode     INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2), -- enum kf_attach_mode
	existing INTEGER NOT NULL CHECK (existing IN (0, 1)),   -- 0 adopt, 1 reset
	created  INTEGER NOT NULL
) STRICT;

CREATE TABLE source (
	addr       BLOB NOT NULL CHECK (length(addr) = 16),
	prefix_len INTEGER NOT NULL CHECK (prefix_len BETWEEN 0 AND 128),
	action     INTEGER NOT NULL CHECK (action IN (0, 1)), -- 0 deny, 1 allow
	created    INTEGER NOT NULL,
	expires    INTEGER,
	PRIMARY KEY (addr, prefix_len, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_expires ON source (expires) WHERE expires IS NOT NULL;

-- AUTOINCREMENT: a cursor of a listing never comes to stand for another key.
CREATE TABLE api_key (
	seq           INTEGER PRIMARY KEY AUTOINCREMENT,
	id            TEXT NOT NULL UNIQUE,
	name          TEXT NOT NULL,
	mask_head     TEXT NOT NULL, -- all that is kept of the secret's text, for lists
	mask_tail     TEXT NOT NULL,
	disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
	created       INTEGER NOT NULL,
	expires       INTEGER,
	past_admitted INTEGER NOT NULL DEFAULT 0, -- counted on credentials that are gone
	past_refused  INTEGER NOT NULL DEFAULT 0,
	past_used     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX api_key_disabled ON api_key (seq) WHERE disabled = 1;
CREATE INDEX api_key_expires ON api_key (expires) WHERE expires IS NOT NULL;

CREATE TABLE credential (
	slot  INTEGER PRIMARY KEY CHECK (slot >= 0),
	key   INTEGER NOT NULL REFERENCES api_key (seq) ON DELETE CASCADE,
	tag   BLOB NOT NULL UNIQUE CHECK (length(tag) = 16),
	until INTEGER -- end of the grace of a rotated secret; NULL: the current one
) STRICT;
CREATE INDEX credential_key ON credential (key);
CREATE UNIQUE INDEX credential_current ON credential (key) WHERE until IS NULL;
CREATE INDEX credential_until ON credential (until) WHERE until IS NOT NULL;

CREATE TABLE key_allow (
	key        INTEGER NOT NULL REFERENCES api_key (seq) ON DELETE CASCADE,
	addr       BLOB NOT NULL CHECK (length(addr) = 16),
	prefix_len INTEGER NOT NULL CHECK (prefix_len BETWEEN 0 AND 128),
	PRIMARY KEY (key, addr, prefix_len)
) STRICT, WITHOUT ROWID;
