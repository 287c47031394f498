// SPDX-License-Identifier: GPL-2.0-only
#include "api/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "clock.h"
#include "policy/policy.h"

/* ASCII controls, DEL, and U+0080 to U+009F, which terminals may obey as well. */
static bool has_control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			return true;
	return false;
}

int kf_api_key_read_name(struct kf_api_request *request, const json_t *value, uint32_t quantity,
			 const char **name)
{
	const char *text = json_string_value(value);
	size_t room = KF_KEY_NAME_SIZE - 1;

	if (!text)
		return 0;
	if (quantity > 1)
		room -= (size_t)snprintf(NULL, 0, "-%u", quantity);
	if (!*text || strlen(text) > room)
		return kf_api_refuse_value(request, "name", "give another name",
					   "it has %zu bytes and must have 1 to %zu%s",
					   strlen(text), room,
					   quantity > 1 ? " beside the number" : "");
	if (has_control(text))
		return kf_api_refuse_value(request, "name", "give another name",
					   "it has control characters");
	*name = text;
	return kf_api_no_secret(request, "name", text);
}

int kf_api_key_read_expires(struct kf_api_request *request, const json_t *value, int64_t *expires)
{
	int64_t now = kf_clock_now().wall_ns;

	return value ? kf_api_end(request, "expires", value, now, expires) : 0;
}

static int read_block(struct kf_api_request *request, const char *member, const json_t *value,
		      struct kf_cidr *cidr)
{
	const char *text = json_string_value(value);

	if (!text)
		return kf_api_refuse_value(request, member, "give strings like \"192.0.2.0/24\"",
					   "it has something else than strings");
	return kf_api_cidr(request, member, text, cidr);
}

int kf_api_key_read_allow(struct kf_api_request *request, const char *member, const json_t *value,
			  struct kf_cidr cidrs[static KF_KEY_ALLOW_MAX], uint32_t *count)
{
	size_t n = json_array_size(value);
	int err = 0;

	if (!value)
		return 0;
	if (n > KF_KEY_ALLOW_MAX)
		return kf_api_refuse_value(request, member, "give wider blocks",
					   "it has %zu blocks, at most %d are possible", n,
					   KF_KEY_ALLOW_MAX);
	for (size_t i = 0; !err && i < n; i++)
		err = read_block(request, member, json_array_get(value, i), &cidrs[i]);
	if (!err)
		*count = (uint32_t)n;
	return err;
}

int kf_api_key_read_rate(struct kf_api_request *request, const json_t *rpm, const json_t *burst,
			 bool alone, uint32_t *rpm_out, uint32_t *burst_out)
{
	int err;

	_Static_assert(KF_RPM_TOP == 6000000, "the texts below");
	err = kf_api_number(request, "rpm", rpm, 1, KF_RPM_TOP,
			    "give 1 to 6000000, or `null` for no limit", rpm_out);
	if (!err)
		err = kf_api_number(request, "burst", burst, 1, KF_RPM_TOP,
				    "give 1 to 6000000, or `null` for as many as `rpm`", burst_out);
	if (!err && *burst_out && (rpm ? !*rpm_out : !alone))
		return kf_api_refuse_value(request, "burst", "give `rpm`, too",
					   "it needs a rate, and there is none");
	return err;
}

int kf_api_key_read_group(struct kf_api_request *request, const json_t *value,
			  struct kf_group_row *row)
{
	const char *name = json_string_value(value);
	int err;

	memset(row, 0, sizeof(*row));
	if (!name)
		return 0;
	err = kf_store_group_get(request->daemon->store, name, row);
	if (err == -ENOENT)
		return kf_api_refuse_value(request, "group",
					   "see `keyfilterctl group list`, or create it first",
					   "there is no group '%.63s'", name);
	return err ? kf_api_refuse_internal(request, err, "reading the group") : 0;
}

/* ---- the query of a list --------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum kf_key_filter filter;
} filters[] = {
	{ "enabled", KF_KEYS_ENABLED },
	{ "disabled", KF_KEYS_DISABLED },
	{ "expired", KF_KEYS_EXPIRED },
};

static int read_status(struct kf_api_request *request, struct kf_key_query *query)
{
	const char *text = kf_api_parameter(request, "status");

	if (!text)
		return 0;
	for (size_t i = 0; i < KF_API_COUNT(filters); i++) {
		if (strcmp(text, filters[i].name))
			continue;
		query->filter = filters[i].filter;
		return 0;
	}
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give enabled, disabled or expired", "`status` cannot be '%.40s'",
			     text);
}

/* A cursor is the number of the last key. */
static int read_after(struct kf_api_request *request, const char *text, struct kf_key_query *query)
{
	char *end;

	if (!text)
		return 0;
	errno = 0;
	query->after = strtoll(text, &end, 10);
	if (!errno && *text >= '0' && *text <= '9' && !*end)
		return 0;
	return kf_api_refuse_after(request);
}

static int read_group(struct kf_api_request *request, struct kf_key_query *query)
{
	const char *name = kf_api_parameter(request, "group");
	struct kf_group_row row;
	int err;

	if (!name)
		return 0;
	err = kf_store_group_get(request->daemon->store, name, &row);
	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "see `keyfilterctl group list`", "there is no group '%.63s'",
				     name);
	if (!err)
		query->group = row.index;
	return err;
}

int kf_api_key_read_query(struct kf_api_request *request, struct kf_key_query *query)
{
	const char *after;
	int err = read_status(request, query);

	if (!err)
		err = read_group(request, query);
	query->search = kf_api_parameter(request, "search");
	if (!err && query->search)
		err = kf_api_no_secret(request, "search", query->search);
	if (!err)
		err = kf_api_page(request, &after, &query->limit);
	return err ? err : read_after(request, after, query);
}
