-- SPDX-License-Identifier: GPL-2.0-only
-- From version 1 of <state-dir>/keyfilter.db to version 2: penalties and SYN rates of services,
-- rates of keys. Never edited once released. Times are seconds.

-- 0 failures: never. What was protected before goes on as it did: whoever stands behind a proxy, where
-- all clients are one source, would be shut out by an upgrade.
ALTER TABLE service ADD COLUMN penalty_failures INTEGER NOT NULL DEFAULT 0
	CHECK (penalty_failures BETWEEN 0 AND 1000000);
ALTER TABLE service ADD COLUMN penalty_window INTEGER NOT NULL DEFAULT 60
	CHECK (penalty_window BETWEEN (penalty_failures > 0) AND 2592000);
ALTER TABLE service ADD COLUMN penalty_time INTEGER NOT NULL DEFAULT 60
	CHECK (penalty_time BETWEEN (penalty_failures > 0) AND 2592000);
ALTER TABLE service ADD COLUMN penalty_time_max INTEGER NOT NULL DEFAULT 3600
	CHECK (penalty_time_max BETWEEN penalty_time AND 2592000);

-- SYNs per second of one source, and at once; a rate of 0: no limit
ALTER TABLE service ADD COLUMN syn_rate INTEGER NOT NULL DEFAULT 0
	CHECK (syn_rate BETWEEN 0 AND 1000000);
ALTER TABLE service ADD COLUMN syn_burst INTEGER NOT NULL DEFAULT 0
	CHECK (syn_burst BETWEEN 0 AND 1000000);

-- requests per minute, and at once; an rpm of 0: no limit, a burst of 0: as many as rpm
ALTER TABLE api_key ADD COLUMN rpm INTEGER NOT NULL DEFAULT 0
	CHECK (rpm BETWEEN 0 AND 6000000);
ALTER TABLE api_key ADD COLUMN rpm_burst INTEGER NOT NULL DEFAULT 0
	CHECK (rpm_burst BETWEEN 0 AND 6000000 * (rpm > 0));
