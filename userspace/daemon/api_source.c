// SPDX-License-Identifier: GPL-2.0-only
#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "attach.h"
#include "cidr.h"
#include "cleanup.h"
#include "reconcile.h"
#include "source.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

static const char *const actions[] = {
	[KF_SOURCE_DENY] = "deny",
	[KF_SOURCE_ALLOW] = "allow",
};

static json_t *source_json(const struct kf_source_row *row)
{
	char cidr[KF_CIDR_TEXT];

	kf_cidr_format(&row->cidr, cidr);
	return json_pack("{s:s, s:s, s:o, s:o}", "cidr", cidr, "action", actions[row->action],
			 "created_at", kf_api_time(row->created), "expires_at",
			 kf_api_time(row->expires));
}

/* ---- what is asked
 * -------------------------------------------------------------------------------- */

static int take_cidr(struct kf_api_request *request, const char *text, struct kf_cidr *cidr)
{
	char meant[KF_CIDR_TEXT], mend[KF_CIDR_TEXT + 16];
	int err = kf_cidr_parse(text, cidr);

	if (err == -ERANGE) {
		kf_cidr_format(cidr, meant);
		snprintf(mend, sizeof(mend), "write %s", meant);
		return kf_api_refuse_value(request, "cidr", mend,
					   "'%.60s' has bits set behind its prefix", text);
	}
	if (err)
		return kf_api_refuse_value(request, "cidr",
					   "give 192.0.2.0/24, 2001:db8::/32 or an address",
					   "'%.60s' is not a block of addresses", text);
	return 0;
}

static int find_action(const char *text, uint8_t *action)
{
	for (size_t i = 0; i < KF_API_COUNT(actions); i++) {
		if (strcmp(text, actions[i]))
			continue;
		*action = (uint8_t)i;
		return 0;
	}
	return -EINVAL;
}

static int take_action(struct kf_api_request *request, const char *text, uint8_t *action)
{
	if (!find_action(text, action))
		return 0;
	return kf_api_refuse_value(request, "action", "give deny or allow",
				   "'%.40s' is none of them", text);
}

static int take_ttl(struct kf_api_request *request, const json_t *value, struct kf_source_row *row)
{
	int64_t ttl;
	int err;

	row->expires = KF_WALL_NEVER;
	if (!value || json_is_null(value))
		return 0;
	err = kf_api_duration(request, "ttl", value, &ttl);
	if (err)
		return err;
	if (!ttl)
		return kf_api_refuse_value(request, "ttl", "give 1s or more, or remove the source",
					   "it would be over before it began");
	row->expires = row->created + ttl;
	return 0;
}

/* ---- handlers
 * ------------------------------------------------------------------------------------- */

int kf_api_source_create(struct kf_api_request *request)
{
	struct kf_source_row row = { .created = kf_reconcile_now().wall_ns };
	struct kf_why why = { 0 };
	json_t *cidr, *action, *ttl;
	bool replaced;
	const struct kf_api_member members[] = {
		{ "cidr", KF_API_STRING | KF_API_REQUIRED, &cidr },
		{ "action", KF_API_STRING | KF_API_REQUIRED, &action },
		{ "ttl", KF_API_STRING | KF_API_INTEGER | KF_API_NULL, &ttl },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	err = err ?: take_cidr(request, json_string_value(cidr), &row.cidr);
	err = err ?: take_action(request, json_string_value(action), &row.action);
	err = err ?: take_ttl(request, ttl, &row);
	if (err)
		return err;
	err = kf_source_put(request->daemon->reconcile, &row, &replaced, &why);
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	return kf_api_reply(request, replaced ? MHD_HTTP_OK : MHD_HTTP_CREATED, source_json(&row));
}

/* A page of rows: one more than asked for is read, to know whether there are more. */
struct page {
	json_t *array;
	uint32_t limit;
	struct kf_source_row last;
	bool more;
};

static int append_source(void *context, const struct kf_source_row *row)
{
	struct page *page = context;

	if (json_array_size(page->array) == page->limit) {
		page->more = true;
		return 0;
	}
	page->last = *row;
	return json_array_append_new(page->array, source_json(row)) ? -ENOMEM : 0;
}

/* A cursor is the last row's "CIDR,action". */
static int take_after(struct kf_api_request *request, struct kf_source_row *after, bool *given)
{
	const char *text = kf_api_parameter(request, "after");
	const char *comma = text ? strrchr(text, ',') : NULL;
	char cidr[KF_CIDR_TEXT];

	*given = text;
	if (!text)
		return 0;
	if (comma) {
		snprintf(cidr, sizeof(cidr), "%.*s", (int)(comma - text), text);
		if (!kf_cidr_parse(cidr, &after->cidr) && !find_action(comma + 1, &after->action))
			return 0;
	}
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give what the page before has as next", "after cannot be '%.80s'",
			     text);
}

static json_t *cursor_json(const struct page *page)
{
	char cidr[KF_CIDR_TEXT];

	if (!page->more)
		return json_null();
	kf_cidr_format(&page->last.cidr, cidr);
	return json_sprintf("%s,%s", cidr, actions[page->last.action]);
}

int kf_api_source_list(struct kf_api_request *request)
{
	static const char *const known[] = { "after", "limit", NULL };
	_cleanup_json_ json_t *array = json_array();
	struct page page = { .array = array };
	struct kf_source_row after = { 0 };
	bool given;
	int err = kf_api_parameters(request, known) ?: kf_api_no_members(request);

	err = err ?: kf_api_parameter_limit(request, LIMIT_DEFAULT, LIMIT_MAX, &page.limit);
	err = err ?: take_after(request, &after, &given);
	err = err
		      ?: kf_store_source_page(request->daemon->store, given ? &after : NULL,
					      page.limit + 1, append_source, &page);
	if (err)
		return err;
	return kf_api_reply(
		request, MHD_HTTP_OK,
		json_pack("{s:o, s:o}", "sources", TAKE_PTR(array), "next", cursor_json(&page)));
}

int kf_api_source_delete(struct kf_api_request *request)
{
	struct kf_why why = { 0 };
	struct kf_cidr cidr;
	char text[KF_CIDR_TEXT];
	int err = kf_api_no_members(request) ?: take_cidr(request, request->name, &cidr);

	if (err)
		return err;
	err = kf_source_remove(request->daemon->reconcile, &cidr, &why);
	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "source");
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	kf_cidr_format(&cidr, text);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "cidr", text, "state", "removed"));
}
