// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl usage: what requests have used, and what that cost. */
#include "csv.h"

static const struct kf_output_column report_record[] = {
	{ "Request", .member = "request_id" },
	{ "Key", .member = "key_id" },
	{ "Cost", .member = "cost" },
	{ "Reported before", .member = "repeated" },
	{ 0 },
};

static const struct kf_output_column list_columns[] = {
	{ "DAY", .member = "day", .format = KF_OUTPUT_TIME },
	{ "KEY", .member = "key" },
	{ "MODEL", .member = "model" },
	{ "REQUESTS", .member = "requests" },
	{ "PROMPT", .member = "prompt" },
	{ "CACHED", .member = "cached" },
	{ "CACHE WRITE", .member = "cache_write" },
	{ "COMPLETION", .member = "completion" },
	{ "COST", .member = "cost" },
	{ 0 },
};

#define TEXT(option, values, set, words)                                                           \
	{                                                                                          \
		.name = (option), .placeholder = (values), .member = (set), .help = (words)        \
	}
#define COUNT(option, set, words)                                                                  \
	{                                                                                          \
		.name = (option), .placeholder = "N", .member = (set), .type = KF_OPTION_NUMBER,   \
		.help = (words)                                                                    \
	}

static const struct kf_option report_options[] = {
	TEXT("key-id", "ID", "key_id", "the key that the request was sent with"),
	TEXT("model", "M", "model", "the model that it called"),
	COUNT("prompt", "prompt", "tokens of the prompt, all of them"),
	COUNT("completion", "completion", "tokens of the answer"),
	COUNT("cached", "cached", "of the prompt those that came from a cache"),
	COUNT("cache-write", "cache_write", "of the prompt those that went into one"),
	TEXT("request-id", "R", "request_id",
	     "the request's own; reported twice it is booked once"),
	{ 0 },
};

static const struct kf_option list_options[] = {
	TEXT("key", "ID", "key", "only of this key, which may be deleted by now"),
	TEXT("model", "M", "model", "only of this model"),
	TEXT("since", "30d|RFC3339", "since", "only days from then on, in UTC"),
	KF_OPTIONS_PAGE,
	{ .name = "csv",
	  .type = KF_OPTION_FLAG,
	  .help = "as CSV (RFC 4180), with a line of headings" },
	{ 0 },
};

static const char *const csv_columns[] = {
	"day",	  "key",	 "model",      "requests", "prompt",
	"cached", "cache_write", "completion", "cost",	   NULL,
};

static int list(struct kf_call *call)
{
	if (kf_args_value(call->args, "csv"))
		return kf_csv_print(call, "days", csv_columns);
	return kf_call_pages(call, "days", list_columns);
}

static const struct kf_command commands[] = {
	{ .verb = "report",
	  .options = report_options,
	  .required = "request-id",
	  .method = "POST",
	  .path = "/v1/usage",
	  .record = report_record,
	  .help = "Books what a request has used, to its key and account." },
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/usage",
	  .run = list,
	  .help = "Lists what was used, by day, key and model." },
	{ 0 },
};

const struct kf_noun kf_noun_usage = { "usage", "what requests have used", commands };
