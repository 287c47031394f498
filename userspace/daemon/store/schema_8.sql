-- SPDX-License-Identifier: GPL-2.0-only
-- From version 7 of <state-dir>/keyfilter.db to version 8: accounts, quotas of keys, the ledger.
-- Never edited once released. Amounts are micro-units, up to 10^15.

-- The places of kf_wallets that are taken. A number is given again only when all have been given.
CREATE TABLE wallet (
	idx INTEGER PRIMARY KEY AUTOINCREMENT CHECK (idx BETWEEN 1 AND 4294967295)
) STRICT;

-- granted: put in, in all. The balance is granted - spent, and bounds what its keys may spend unless
-- the account is unlimited. There is one more, `default`, which has no row and no limit.
CREATE TABLE account (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	name      TEXT NOT NULL UNIQUE,
	currency  TEXT NOT NULL,
	wallet    INTEGER NOT NULL UNIQUE REFERENCES wallet (idx),
	unlimited INTEGER NOT NULL CHECK (unlimited IN (0, 1)),
	granted   INTEGER NOT NULL CHECK (granted BETWEEN 0 AND 1000000000000000),
	spent     INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
	created   INTEGER NOT NULL,
	revision  INTEGER NOT NULL
) STRICT;

-- account NULL: default. quota NULL: no other limit than the account's; with one, wallet is the key's own.
ALTER TABLE api_key ADD COLUMN account INTEGER REFERENCES account (id);
ALTER TABLE api_key ADD COLUMN wallet INTEGER REFERENCES wallet (idx);
ALTER TABLE api_key ADD COLUMN quota INTEGER
	CHECK (quota IS NULL OR (quota BETWEEN 0 AND 1000000000000000 AND wallet IS NOT NULL));
ALTER TABLE api_key ADD COLUMN spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0);
CREATE INDEX api_key_account ON api_key (account, seq) WHERE account IS NOT NULL;
CREATE INDEX api_key_exhausted ON api_key (seq) WHERE quota IS NOT NULL AND spent >= quota;
CREATE UNIQUE INDEX api_key_wallet ON api_key (wallet) WHERE wallet IS NOT NULL;
CREATE TRIGGER api_key_wallet_gone AFTER DELETE ON api_key WHEN old.wallet IS NOT NULL
	BEGIN DELETE FROM wallet WHERE idx = old.wallet; END;

-- Only ever added to. account 0: default. key: the ID of one, which may be deleted by now. amount: of
-- kind 0 (grant) what account.granted grew by; of 1 (quota) what the key's quota grew by, and total is
-- the quota from then on, NULL: none; of 2 (charge) what key and account have spent.
CREATE TABLE ledger (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	time    INTEGER NOT NULL,
	kind    INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
	account INTEGER NOT NULL,
	key     TEXT,
	amount  INTEGER NOT NULL,
	total   INTEGER,
	note    TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_account ON ledger (account, seq);
CREATE INDEX ledger_key ON ledger (key, seq) WHERE key IS NOT NULL;
