// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl ledger: the books. */
#include "call.h"
#include "json.h"

static const struct kf_output_column list_columns[] = {
	{ "ENTRY", .member = "entry" },
	{ "TIME", .member = "time", .format = KF_OUTPUT_TIME },
	{ "KIND", .member = "kind" },
	{ "ACCOUNT", .member = "account" },
	{ "KEY", .member = "key", .absent = "" },
	{ "AMOUNT", .member = "amount" },
	{ "QUOTA", .member = "total", .absent = "" },
	{ "NOTE", .member = "note" },
	{ 0 },
};

static const struct kf_option list_options[] = {
	{ .name = "account",
	  .placeholder = "A",
	  .member = "account",
	  .help = "only entries of this account" },
	{ .name = "key",
	  .placeholder = "ID",
	  .member = "key",
	  .help = "only entries of this key, which may be deleted by now" },
	{ .name = "since",
	  .placeholder = "30d|RFC3339",
	  .member = "since",
	  .help = "only entries from then on" },
	KF_OPTIONS_PAGE,
	{ 0 },
};

static int list(struct kf_call *call)
{
	return kf_call_pages(call, "entries", list_columns);
}

static const struct kf_output_column difference_columns[] = {
	{ "WHAT", .member = "what" },
	{ "HAS", .member = "has" },
	{ "LEDGER", .member = "ledger" },
	{ 0 },
};

static int render_verified(struct kf_call *call, const json_t *answer)
{
	struct kf_output_table table = { .columns = difference_columns };

	(void)call;
	if (json_is_true(json_object_get(answer, "sound"))) {
		kf_output_line(stdout, "every account and key has what the ledger adds up to");
		return KF_EXIT_DONE;
	}
	kf_output_rows(stdout, &table, json_object_get(answer, "differences"));
	return KF_EXIT_DONE;
}

static enum kf_exit judge_verified(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "sound")) ? KF_EXIT_DONE : KF_EXIT_FAILED;
}

static const struct kf_command commands[] = {
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/ledger",
	  .run = list,
	  .help = "Lists what was granted and spent, oldest first." },
	{ .verb = "verify",
	  .method = "GET",
	  .path = "/v1/ledger/verify",
	  .render = render_verified,
	  .judge = judge_verified,
	  .help = "Adds the entries up, and compares accounts and keys with that." },
	{ 0 },
};

const struct kf_noun kf_noun_ledger = { "ledger", "the books, entry by entry", commands };
