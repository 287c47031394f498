// SPDX-License-Identifier: GPL-2.0-only
#include "api/account.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "api/route.h"
#include "cleanup.h"
#include "ledger/ledger.h"
#include "policy/account.h"
#include "policy/policy.h"
#include "why.h"

/* ---- rows to JSON ---------------------------------------------------------------------------- */

json_t *kf_api_account_left(bool has, int64_t granted, int64_t spent)
{
	return has ? kf_api_money(kf_ledger_left(granted, spent)) : json_null();
}

static json_t *account_json(const struct kf_account_row *row)
{
	char revision[KF_API_REVISION_SIZE];

	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:b, s:o, s:s}", "name", row->name,
			 "currency", row->currency, "unlimited", row->unlimited, "granted",
			 kf_api_money(row->granted), "spent", kf_api_money(row->spent), "balance",
			 kf_api_account_left(true, row->granted, row->spent), "exhausted",
			 !row->unlimited && row->spent >= row->granted, "created_at",
			 kf_api_time(row->created), "revision",
			 kf_api_revision(row->revision, revision));
}

/* Counts its keys, too; only reading threads do it. */
static json_t *counted_json(struct kf_store *store, const struct kf_account_row *row)
{
	uint64_t keys;

	if (kf_store_account_keys(store, row->id, &keys))
		return NULL;
	return kf_api_join(account_json(row), json_pack("{s:I}", "keys", (json_int_t)keys));
}

/* ---- JSON to rows ---------------------------------------------------------------------------- */

int kf_api_account_read(struct kf_api_request *request, const json_t *value,
			struct kf_account_row *row)
{
	const char *name = json_string_value(value);
	int err;

	if (!name)
		return 0;
	memset(row, 0, sizeof(*row));
	if (!strcmp(name, KF_API_ACCOUNT_DEFAULT))
		return 0;
	err = kf_store_account_get(request->daemon->store, name, row);
	if (err == -ENOENT)
		return kf_api_refuse_value(request, "account",
					   "see `keyfilterctl account list`, or create it first",
					   "there is no account '%.63s'", name);
	return err ? kf_api_refuse_internal(request, err, "reading the account") : 0;
}

int kf_api_account_read_limit(struct kf_api_request *request, const char *member,
			      const json_t *value, int64_t *amount)
{
	const char *text = json_string_value(value);

	if (text && !strcmp(text, "unlimited")) {
		*amount = KF_NO_QUOTA;
		return 0;
	}
	return kf_api_amount(request, member, value, KF_AMOUNT_TOP, amount);
}

int kf_api_account_read_note(struct kf_api_request *request, const json_t *value, const char **note)
{
	const char *text = json_string_value(value);

	if (!text)
		return 0;
	if (strlen(text) >= KF_LEDGER_NOTE_SIZE)
		return kf_api_refuse_value(request, "note", "give a shorter one",
					   "it has %zu bytes, at most %d are possible",
					   strlen(text), KF_LEDGER_NOTE_SIZE - 1);
	if (kf_api_has_control(text))
		return kf_api_refuse_value(request, "note", "give another one",
					   "it has control characters");
	*note = text;
	return kf_api_no_secret(request, "note", text);
}

static int read_word(struct kf_api_request *request, const char *member, const json_t *value,
		     char *out, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	const char *text = json_string_value(value);
	size_t len;

	if (!text)
		return 0;
	len = strlen(text);
	if (!len || len >= size || text[strspn(text, letters)])
		return kf_api_refuse_value(request, member,
					   "give some of A-Z, a-z, 0-9, dot, underscore, dash",
					   "'%.70s' has not 1 to %zu of these", text, size - 1);
	memcpy(out, text, len + 1);
	return kf_api_no_secret(request, member, text);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int handle_create(struct kf_api_request *request)
{
	struct kf_account_row row = { .currency = "USD" };
	json_t *name, *balance, *currency, *note;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
		{ "balance", KF_API_STRING | KF_API_INTEGER, &balance },
		{ "currency", KF_API_STRING, &currency },
		{ "note", KF_API_STRING, &note },
	};
	const char *text = "";
	struct kf_why why = { 0 };
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = read_word(request, "name", name, row.name, sizeof(row.name));
	if (!err && !strcmp(row.name, KF_API_ACCOUNT_DEFAULT))
		err = kf_api_refuse_value(request, "name", "give another one",
					  "the account 'default' is there always, without a limit");
	if (!err)
		err = kf_api_account_read_limit(request, "balance", balance, &row.granted);
	if (!err)
		err = read_word(request, "currency", currency, row.currency, sizeof(row.currency));
	if (!err)
		err = kf_api_account_read_note(request, note, &text);
	if (err)
		return err;
	row.unlimited = row.granted == KF_NO_QUOTA;
	if (row.unlimited)
		row.granted = 0;
	err = kf_policy_account_add(request->daemon->policy, &row, text, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply_revision(request, MHD_HTTP_CREATED, account_json(&row), row.revision);
}

struct listing {
	struct kf_store *store;
	json_t *array;
};

static int append_account(void *context, const struct kf_account_row *row)
{
	struct listing *listing = context;

	return json_array_append_new(listing->array, counted_json(listing->store, row)) ? -ENOMEM
											: 0;
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *array = json_array();
	struct listing listing = { .store = request->daemon->store, .array = array };
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_store_account_each(listing.store, append_account, &listing);
	return err ? err
		   : kf_api_reply(request, MHD_HTTP_OK, json_pack("{s:O}", "accounts", array));
}

/* Reads the row that the path names; answers 404 where there is none, 412 where it was changed. */
static int find_account(struct kf_api_request *request, struct kf_account_row *row)
{
	int err = kf_store_account_get(request->daemon->store, request->name, row);

	if (err == -ENOENT && !strcmp(request->name, KF_API_ACCOUNT_DEFAULT))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_value",
				     "create another account with `keyfilterctl account create`, "
				     "and give it to the keys that it is to bound",
				     "the account 'default' has no limit, and so no balance");
	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "account");
	return err ? err : kf_api_match(request, "account", row->revision);
}

static int handle_show(struct kf_api_request *request)
{
	struct kf_account_row row;
	int err = kf_api_no_members(request);

	if (!err)
		err = find_account(request, &row);
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK,
					   counted_json(request->daemon->store, &row),
					   row.revision);
}

/* Answers with the row as it is now. */
static int answer_changed(struct kf_api_request *request, int err, struct kf_account_row *row,
			  const struct kf_why *why)
{
	if (err)
		return kf_api_refuse_error(request, err, why);
	err = kf_store_account_at(request->daemon->store, row->id, row); /* a new revision */
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK, account_json(row), row->revision);
}

static int handle_edit(struct kf_api_request *request)
{
	struct kf_account_row row;
	json_t *unlimited;
	const struct kf_api_member members[] = {
		{ "unlimited", KF_API_BOOLEAN | KF_API_REQUIRED, &unlimited },
	};
	struct kf_why why = { 0 };
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = find_account(request, &row);
	if (err)
		return err;
	err = kf_policy_account_edit(request->daemon->policy, &row, json_is_true(unlimited), &why);
	return answer_changed(request, err, &row, &why);
}

static int grant(struct kf_api_request *request, bool less)
{
	struct kf_account_row row;
	json_t *amount, *note;
	const struct kf_api_member members[] = {
		{ "amount", KF_API_STRING | KF_API_INTEGER | KF_API_REQUIRED, &amount },
		{ "note", KF_API_STRING, &note },
	};
	const char *text = "";
	struct kf_why why = { 0 };
	int64_t micro = 0;
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = kf_api_sum(request, "amount", amount, &micro);
	if (!err)
		err = kf_api_account_read_note(request, note, &text);
	if (!err)
		err = find_account(request, &row);
	if (err)
		return err;
	err = kf_policy_account_grant(request->daemon->policy, &row, less ? -micro : micro, text,
				      &why);
	return answer_changed(request, err, &row, &why);
}

static int handle_topup(struct kf_api_request *request)
{
	return grant(request, false);
}

static int handle_withdraw(struct kf_api_request *request)
{
	return grant(request, true);
}

const struct kf_api_route kf_api_account_routes[] = {
	{ "GET", "/v1/accounts", handle_list, false },
	{ "POST", "/v1/accounts", handle_create, false },
	{ "GET", "/v1/accounts/{}", handle_show, true },
	{ "PATCH", "/v1/accounts/{}", handle_edit, true },
	{ "POST", "/v1/accounts/{}/topup", handle_topup, true },
	{ "POST", "/v1/accounts/{}/withdraw", handle_withdraw, true },
	{ 0 },
};
