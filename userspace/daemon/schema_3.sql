-- SPDX-License-Identifier: GPL-2.0-only
-- From version 2 of <state-dir>/keyfilter.db to version 3. Never edited once released.

-- Which state of a row this is: a random number, drawn anew with each change, so that a row made or
-- restored under an old name never looks like the one before it. 0: not changed since version 2.
ALTER TABLE service ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_key ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
