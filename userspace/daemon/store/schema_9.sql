-- SPDX-License-Identifier: GPL-2.0-only
-- From version 8 of <state-dir>/keyfilter.db to version 9: what requests have used. Never edited once
-- released.

-- A request that was reported, once. key: the ID of one, which may be deleted by now. prompt: all tokens
-- of it; cached and cache_write: those of them that came from a cache, and that went into one. cost:
-- micro-units.
CREATE TABLE usage (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	time        INTEGER NOT NULL,
	key         TEXT NOT NULL,
	request     TEXT NOT NULL,
	model       TEXT NOT NULL,
	prompt      INTEGER NOT NULL CHECK (prompt BETWEEN 0 AND 1000000000),
	cached      INTEGER NOT NULL CHECK (cached BETWEEN 0 AND 1000000000),
	cache_write INTEGER NOT NULL CHECK (cache_write BETWEEN 0 AND 1000000000),
	completion  INTEGER NOT NULL CHECK (completion BETWEEN 0 AND 1000000000),
	cost        INTEGER NOT NULL CHECK (cost BETWEEN 0 AND 1000000000000000),
	UNIQUE (key, request)
) STRICT;

-- The same, summed up. day: days since 1970-01-01, in UTC.
CREATE TABLE usage_day (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	day         INTEGER NOT NULL,
	key         TEXT NOT NULL,
	model       TEXT NOT NULL,
	requests    INTEGER NOT NULL,
	prompt      INTEGER NOT NULL,
	cached      INTEGER NOT NULL,
	cache_write INTEGER NOT NULL,
	completion  INTEGER NOT NULL,
	cost        INTEGER NOT NULL,
	UNIQUE (key, day, model)
) STRICT;
CREATE INDEX usage_day_day ON usage_day (day);
