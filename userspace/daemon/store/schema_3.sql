-- SPDX-License-Identifier: GPL-2.0-only
-- From version 2 of <state-dir>/keyfilter.db to version 3. Never edited once released.

-- Which state of a row this is: a random number, drawn anew with each change, so that a row made or
-- restored under an old name never looks like the one before it. 0: not changed since version 2.
ALTER TABLE service ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_key ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- Methods that a service takes beside those that every server knows, separated by spaces.
ALTER TABLE service ADD COLUMN methods TEXT NOT NULL DEFAULT '';

-- Keys in Sec-WebSocket-Protocol (KF_KEY_WEBSOCKET): who took them from everywhere goes on to.
UPDATE service SET key_sources = 63 WHERE key_sources = 31;

-- One row, written by every transaction. commits counts them: where a commit failed, it tells whether
-- the transaction is stored all the same. seen is the newest wall-clock time that was believed,
-- in nanoseconds: what had expired by then has expired, whatever the clock says at the next start.
-- boot and clock are the boot (/proc/sys/kernel/random/boot_id) in which that was, and how far the
-- wall clock was ahead of CLOCK_BOOTTIME in it, in nanoseconds.
CREATE TABLE state (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	commits INTEGER NOT NULL,
	seen    INTEGER NOT NULL,
	boot    TEXT NOT NULL,
	clock   INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 0, 0, '', 0);

-- At most one row: keys whose seq is from first to last are being made and are not there yet, neither
-- listed nor counted. When all of them are stored the row goes; a start that finds it removes them.
CREATE TABLE key_batch (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	first INTEGER NOT NULL CHECK (first > 0),
	last  INTEGER NOT NULL CHECK (last >= first)
) STRICT;
