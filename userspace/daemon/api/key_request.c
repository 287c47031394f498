// SPDX-License-Identifier: GPL-2.0-only
#include "api/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "api/account.h"
#include "clock.h"
#include "policy/policy.h"

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
	if (kf_api_has_control(text))
		return kf_api_refuse_value(request, "name", "give another name",
					   "it has control characters");
	*name = text;
	return kf_api_no_secret(request, "name", text);
}

int kf_api_key_read_text(struct kf_api_request *request, const json_t *value, uint32_t quantity,
			 const char **text)
{
	if (!value)
		return 0;
	if (quantity != 1)
		return kf_api_refuse_value(request, "quantity", "import keys one by one",
					   "a given key is one");
	if (!kf_policy_key_is_text(json_string_value(value)))
		return kf_api_refuse_value(
			request, "key",
			"give sk- and letters, digits, '-', '_', '.' and '~', 20 to 120 in all",
			"it cannot be imported");
	*text = json_string_value(value);
	return 0;
}

static int check_text(struct kf_api_request *request, const char *member, const char *what,
		      const char *text, size_t least, size_t most)
{
	if (strlen(text) < least || strlen(text) > most)
		return kf_api_refuse_value(request, member, "give another one",
					   "%s has %zu bytes and must have %zu to %zu", what,
					   strlen(text), least, most);
	if (kf_api_has_control(text))
		return kf_api_refuse_value(request, member, "give another one",
					   "%s has control characters", what);
	return kf_api_no_secret(request, member, text);
}

int kf_api_key_read_owner(struct kf_api_request *request, const json_t *value, const char **owner)
{
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	*owner = text ?: "";
	return text ? check_text(request, "owner", "it", text, 1, KF_KEY_OWNER_SIZE - 1) : 0;
}

/* ---- labels ---------------------------------------------------------------------------------- */

static int read_label(struct kf_api_request *request, const char *name, const json_t *value,
		      struct kf_label *label)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	const char *text = json_string_value(value);
	int err;

	if (!*name || strlen(name) >= sizeof(label->name) || name[strspn(name, letters)])
		return kf_api_refuse_value(request, "labels",
					   "give 1 to 63 of A-Z, a-z, 0-9, dot, underscore, dash",
					   "'%.70s' is not a label's name", name);
	snprintf(label->name, sizeof(label->name), "%s", name);
	err = kf_api_no_secret(request, "labels", name);
	if (err || !text)
		return err;
	snprintf(label->value, sizeof(label->value), "%s", text);
	return check_text(request, "labels", "a value", text, 0, sizeof(label->value) - 1);
}

static int refuse_label_type(struct kf_api_request *request, const char *name)
{
	return kf_api_refuse_value(request, "labels", "give a string, in an edit also null",
				   "the value of '%.63s' is neither", name);
}

int kf_api_key_read_label_edits(struct kf_api_request *request, const json_t *value,
				struct kf_label_edit edits[static KF_API_LABEL_EDITS],
				uint32_t *count)
{
	const char *name;
	json_t *text;
	uint32_t n = 0;
	int err;

	json_object_foreach((json_t *)value, name, text) {
		if (!json_is_string(text) && !json_is_null(text))
			return refuse_label_type(request, name);
		if (n == KF_API_LABEL_EDITS)
			return kf_api_refuse_value(request, "labels", "give fewer at a time",
						   "it has more than %d", KF_API_LABEL_EDITS);
		err = read_label(request, name, text, &edits[n].label);
		if (err)
			return err;
		edits[n++].remove = json_is_null(text);
	}
	*count = n;
	return 0;
}

int kf_api_key_read_labels(struct kf_api_request *request, const json_t *value,
			   struct kf_key_labels *labels)
{
	struct kf_label label;
	const char *name;
	json_t *text;
	int err;

	json_object_foreach((json_t *)value, name, text) {
		if (!json_is_string(text))
			return refuse_label_type(request, name);
		err = read_label(request, name, text, &label);
		if (err)
			return err;
		if (kf_policy_key_label_put(labels, &label))
			return kf_api_refuse_value(request, "labels", "give fewer",
						   "it has more than %d", KF_KEY_LABELS_MAX);
	}
	return 0;
}

/* ---- limits ---------------------------------------------------------------------------------- */

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
	{ "exhausted", KF_KEYS_EXHAUSTED },
};

static int set_status(struct kf_api_request *request, const char *text, struct kf_key_query *query)
{
	for (size_t i = 0; text && i < KF_API_COUNT(filters); i++) {
		if (strcmp(text, filters[i].name))
			continue;
		query->filter = filters[i].filter;
		return 0;
	}
	if (!text)
		return 0;
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give enabled, disabled, expired or exhausted",
			     "`status` cannot be '%.40s'", text);
}

static int set_group(struct kf_api_request *request, const char *name, struct kf_key_query *query)
{
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

static int set_account(struct kf_api_request *request, const char *name, struct kf_key_query *query)
{
	struct kf_account_row row;
	int err;

	if (!name)
		return 0;
	query->no_account = !strcmp(name, KF_API_ACCOUNT_DEFAULT);
	if (query->no_account)
		return 0;
	err = kf_store_account_get(request->daemon->store, name, &row);
	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "see `keyfilterctl account list`",
				     "there is no account '%.63s'", name);
	if (!err)
		query->account = row.id;
	return err;
}

static int set_search(struct kf_api_request *request, const char *text, struct kf_key_query *query)
{
	query->search = text;
	return text ? kf_api_no_secret(request, "search", text) : 0;
}

static int set_owner(struct kf_api_request *request, const char *text, struct kf_key_query *query)
{
	query->owner = text;
	return text ? kf_api_no_secret(request, "owner", text) : 0;
}

static int set_order(struct kf_api_request *request, const char *text, struct kf_key_query *query)
{
	query->newest = text && !strcmp(text, "newest");
	if (!text || query->newest || !strcmp(text, "oldest"))
		return 0;
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give oldest or newest", "`order` cannot be '%.40s'", text);
}

/* ?label=NAME=VALUE */
static int read_labels(struct kf_api_request *request, struct kf_key_query *query)
{
	struct kf_label *label;
	const char *text;
	size_t at = 0, len;

	while ((text = kf_api_parameter_next(request, "label", &at))) {
		len = strcspn(text, "=");
		if (query->label_count == KF_KEY_LABELS_MAX)
			return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
					     "give fewer", "`label` is given more than %d times",
					     KF_KEY_LABELS_MAX);
		label = &query->labels[query->label_count++];
		if (!text[len] || !len || len >= sizeof(label->name) ||
		    strlen(text + len + 1) >= sizeof(label->value))
			return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
					     "give NAME=VALUE", "`label` cannot be '%.80s'", text);
		snprintf(label->name, sizeof(label->name), "%.*s", (int)len, text);
		snprintf(label->value, sizeof(label->value), "%s", text + len + 1);
	}
	return 0;
}

int kf_api_key_read_query(struct kf_api_request *request, struct kf_key_query *query)
{
	int err = set_status(request, kf_api_parameter(request, "status"), query);

	if (!err)
		err = set_group(request, kf_api_parameter(request, "group"), query);
	if (!err)
		err = set_account(request, kf_api_parameter(request, "account"), query);
	if (!err)
		err = set_owner(request, kf_api_parameter(request, "owner"), query);
	if (!err)
		err = read_labels(request, query);
	if (!err)
		err = set_search(request, kf_api_parameter(request, "search"), query);
	if (!err)
		err = set_order(request, kf_api_parameter(request, "order"), query);
	return err ? err : kf_api_page_number(request, &query->after, &query->limit);
}

/*
 * The member of @where that is empty; NULL: none is. Such a filter finds every key, which nobody
 * means who gives one.
 */
static const char *empty_member(const json_t *where)
{
	const char *name, *text;
	json_t *value;

	json_object_foreach((json_t *)where, name, value) {
		text = json_string_value(value);
		if (text ? !*text : json_is_object(value) && !json_object_size(value))
			return name;
	}
	return NULL;
}

int kf_api_key_read_where(struct kf_api_request *request, const json_t *object,
			  struct kf_key_query *query)
{
	json_t *all, *status, *group, *account, *owner, *labels, *search;
	const struct kf_api_member members[] = {
		{ "all", KF_API_BOOLEAN, &all },	{ "status", KF_API_STRING, &status },
		{ "group", KF_API_STRING, &group },	{ "owner", KF_API_STRING, &owner },
		{ "labels", KF_API_OBJECT, &labels },	{ "search", KF_API_STRING, &search },
		{ "account", KF_API_STRING, &account },
	};
	struct kf_key_labels marks = { 0 };
	int err = kf_api_members_of(request, object, members, KF_API_COUNT(members));

	if (!err &&
	    (json_is_true(all) ? json_object_size(object) != 1 : !json_object_size(object) || all))
		err = kf_api_refuse_value(request, "where",
					  "name some of `status`, `group`, `account`, `owner`, "
					  "`labels`, `search`, or `all` alone for every key",
					  "which keys is not clear");
	if (!err && empty_member(object))
		err = kf_api_refuse_value(request, "where",
					  "give it a value, or `all` alone for every key",
					  "its member `%s` is empty", empty_member(object));
	if (!err)
		err = set_status(request, json_string_value(status), query);
	if (!err)
		err = set_group(request, json_string_value(group), query);
	if (!err)
		err = set_account(request, json_string_value(account), query);
	if (!err)
		err = set_owner(request, json_string_value(owner), query);
	if (!err)
		err = set_search(request, json_string_value(search), query);
	if (!err)
		err = kf_api_key_read_labels(request, labels, &marks);
	memcpy(query->labels, marks.list, sizeof(query->labels));
	query->label_count = marks.count;
	return err;
}
