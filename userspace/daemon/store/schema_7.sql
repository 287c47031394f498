-- SPDX-License-Identifier: GPL-2.0-only
-- From version 6 of <state-dir>/keyfilter.db to version 7: prices of models, multipliers of groups.
-- Never edited once released.

-- Prices are micro-units (millionths of a unit of money) for 1,000,000 tokens, per_request for one
-- request; NULL: there is none. context and max_output are tokens; NULL: not known.
ALTER TABLE model ADD COLUMN input INTEGER CHECK (input BETWEEN 0 AND 1000000000000000);
ALTER TABLE model ADD COLUMN cached INTEGER CHECK (cached BETWEEN 0 AND 1000000000000000);
ALTER TABLE model ADD COLUMN cache_write INTEGER CHECK (cache_write BETWEEN 0 AND 1000000000000000);
ALTER TABLE model ADD COLUMN output INTEGER CHECK (output BETWEEN 0 AND 1000000000000000);
ALTER TABLE model ADD COLUMN per_request INTEGER CHECK (per_request BETWEEN 0 AND 1000000000000000);
ALTER TABLE model ADD COLUMN context INTEGER CHECK (context BETWEEN 1 AND 1000000000);
ALTER TABLE model ADD COLUMN max_output INTEGER CHECK (max_output BETWEEN 1 AND 1000000000);

-- What the prices are multiplied by for the keys of the group, in millionths.
ALTER TABLE key_group ADD COLUMN multiplier INTEGER NOT NULL DEFAULT 1000000
	CHECK (multiplier BETWEEN 0 AND 1000000000);
