// SPDX-License-Identifier: GPL-2.0-only
/* The books: what was granted and spent, entry by entry, and whether all adds up. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "api/account.h"
#include "api/request.h"
#include "api/route.h"
#include "cleanup.h"
#include "policy/policy.h"

static const char *const kinds[KF_LEDGER_KINDS] = {
	[KF_LEDGER_GRANT] = "grant",
	[KF_LEDGER_QUOTA] = "quota",
	[KF_LEDGER_CHARGE] = "charge",
};

/* ---- list ------------------------------------------------------------------------------------ */

struct page {
	struct kf_store *store;
	json_t *array;
	uint32_t limit;
	int64_t last;
	bool more;
};

/* New reference. Accounts are never deleted. */
static json_t *account_name(struct kf_store *store, int64_t id)
{
	struct kf_account_row row;

	if (id == KF_ACCOUNT_DEFAULT)
		return json_string(KF_API_ACCOUNT_DEFAULT);
	return kf_store_account_at(store, id, &row) ? json_null() : json_string(row.name);
}

static json_t *entry_json(struct kf_store *store, const struct kf_ledger_row *row)
{
	bool quota = row->kind == KF_LEDGER_QUOTA;

	return json_pack("{s:I, s:o, s:s, s:o, s:s?, s:o, s:o, s:s}", "entry", (json_int_t)row->seq,
			 "time", kf_api_time(row->time), "kind", kinds[row->kind], "account",
			 account_name(store, row->account), "key", *row->key ? row->key : NULL,
			 "amount", kf_api_money(row->amount), "total",
			 quota && row->total >= 0 ? kf_api_money(row->total) : json_null(), "note",
			 row->note);
}

static int append_entry(void *context, const struct kf_ledger_row *row)
{
	struct page *page = context;

	if (json_array_size(page->array) == page->limit) {
		page->more = true;
		return 0;
	}
	page->last = row->seq;
	return json_array_append_new(page->array, entry_json(page->store, row)) ? -ENOMEM : 0;
}

static int read_account(struct kf_api_request *request, struct kf_ledger_query *query)
{
	const char *name = kf_api_parameter(request, "account");
	struct kf_account_row row;
	int err;

	if (!name)
		return 0;
	query->account = KF_ACCOUNT_DEFAULT;
	if (!strcmp(name, KF_API_ACCOUNT_DEFAULT))
		return 0;
	err = kf_store_account_get(request->daemon->store, name, &row);
	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "see `keyfilterctl account list`",
				     "there is no account '%.63s'", name);
	query->account = row.id;
	return err;
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "account", "key", "since", "after", "limit", NULL };
	_cleanup_json_ json_t *array = json_array();
	struct page page = { .store = request->daemon->store, .array = array };
	struct kf_ledger_query query = { .account = -1 };
	char cursor[24];
	int err = kf_api_parameters(request, known);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = read_account(request, &query);
	if (!err)
		err = kf_api_parameter_since(
			request, kf_policy_time(request->daemon->policy).wall_ns, &query.since);
	if (!err)
		err = kf_api_page_number(request, &query.after, &query.limit);
	if (err)
		return err;
	query.key = kf_api_parameter(request, "key");
	page.limit = query.limit++;
	err = kf_store_ledger_list(page.store, &query, append_entry, &page);
	if (err)
		return kf_api_refuse_internal(request, err, "reading the ledger");
	snprintf(cursor, sizeof(cursor), "%" PRId64, page.last);
	return kf_api_reply(
		request, MHD_HTTP_OK,
		json_pack("{s:O, s:s?}", "entries", array, "next", page.more ? cursor : NULL));
}

/* ---- verify ---------------------------------------------------------------------------------- */

#define DIFFERENCES_MAX 100 /* are named */

struct verification {
	json_t *array;
	uint64_t count;
};

static int append_difference(void *context, const struct kf_ledger_difference *found)
{
	struct verification *verification = context;

	if (verification->count++ >= DIFFERENCES_MAX)
		return 0;
	return json_array_append_new(verification->array,
				     json_pack("{s:s, s:o, s:o}", "what", found->what, "has",
					       kf_api_money(found->has), "ledger",
					       kf_api_money(found->ledger)))
		       ? -ENOMEM
		       : 0;
}

static int handle_verify(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *array = json_array();
	struct verification verification = { .array = array };
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	if (err)
		return err;
	err = kf_store_ledger_verify(request->daemon->store, append_difference, &verification);
	if (err)
		return kf_api_refuse_internal(request, err, "verifying the ledger");
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:b, s:I, s:O}", "sound", !verification.count, "count",
				      (json_int_t)verification.count, "differences", array));
}

const struct kf_api_route kf_api_ledger_routes[] = {
	{ "GET", "/v1/ledger", handle_list, false },
	{ "GET", "/v1/ledger/verify", handle_verify, false },
	{ 0 },
};
