// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl account: the money that keys draw on. */
#include "call.h"

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ "Balance", .member = "balance" },
	{ "Granted", .member = "granted" },
	{ "Spent", .member = "spent" },
	{ "Currency", .member = "currency" },
	{ "Without a limit", .member = "unlimited" },
	{ "Used up", .member = "exhausted" },
	{ "Keys", .member = "keys", .absent = "" },
	{ "Created", .member = "created_at", .format = KF_OUTPUT_SINCE },
	{ "Revision", .member = "revision" },
	{ 0 },
};

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },	      { "BALANCE", .member = "balance" },
	{ "GRANTED", .member = "granted" },   { "SPENT", .member = "spent" },
	{ "CURRENCY", .member = "currency" }, { "UNLIMITED", .member = "unlimited" },
	{ "KEYS", .member = "keys" },	      { 0 },
};

#define NOTE                                                                                       \
	{                                                                                          \
		.name = "note", .placeholder = "TEXT", .member = "note",                           \
		.help = "a reference that the ledger keeps with it"                                \
	}

static const struct kf_option create_options[] = {
	{ .name = "balance",
	  .placeholder = "AMOUNT|unlimited",
	  .member = "balance",
	  .help = "what its keys may spend; 0 unless given" },
	{ .name = "currency",
	  .placeholder = "CODE",
	  .member = "currency",
	  .help = "of its amounts, for people to read; USD unless given" },
	NOTE,
	{ 0 },
};

static const struct kf_option edit_options[] = {
	{ .name = "unlimited",
	  .placeholder = "yes|no",
	  .member = "unlimited",
	  .type = KF_OPTION_YESNO,
	  .help = "yes: its keys may spend more than the balance" },
	{ 0 },
};

static const struct kf_option amount_options[] = { NOTE, { 0 } };

static const struct kf_command commands[] = {
	{ .verb = "create",
	  .operand = "NAME",
	  .operand_member = "name",
	  .options = create_options,
	  .method = "POST",
	  .path = "/v1/accounts",
	  .record = record,
	  .help = "Makes an account; keys draw on it by key create or key edit --account." },
	{ .verb = "topup",
	  .operand = "NAME",
	  .second = "AMOUNT",
	  .second_member = "amount",
	  .options = amount_options,
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/accounts/{}/topup",
	  .record = record,
	  .help = "Puts money in; its keys are served again with the answer." },
	{ .verb = "withdraw",
	  .operand = "NAME",
	  .second = "AMOUNT",
	  .second_member = "amount",
	  .options = amount_options,
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/accounts/{}/withdraw",
	  .record = record,
	  .help = "Takes money out, of what was put in." },
	{ .verb = "edit",
	  .operand = "NAME",
	  .options = edit_options,
	  .changes = true,
	  .matches = true,
	  .method = "PATCH",
	  .path = "/v1/accounts/{}",
	  .record = record,
	  .help = "Changes what is given, for all its keys at once." },
	{ .verb = "list",
	  .method = "GET",
	  .path = "/v1/accounts",
	  .rows = list,
	  .member = "accounts",
	  .help = "Lists the accounts, but for `default`, which has no limit." },
	{ .verb = "show",
	  .operand = "NAME",
	  .method = "GET",
	  .path = "/v1/accounts/{}",
	  .record = record,
	  .help = "Shows one account." },
	{ 0 },
};

const struct kf_noun kf_noun_account = { "account", "the money that keys draw on", commands };
