// SPDX-License-Identifier: GPL-2.0-only
#include "api/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/penaltystate.h>
#include <keyfilter/sourcestate.h>
#include <microhttpd.h>

#include "api/route.h"
#include "attach/attach.h"
#include "base/work.h"
#include "cidr.h"
#include "cleanup.h"
#include "clock.h"
#include "policy/policy.h"
#include "policy/source.h"
#include "traffic/penalty.h"

#define STEPS_AT_ONCE 2 /* a removal is two changes, and mostly both are small */

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

/* ---- what is asked --------------------------------------------------------------------------- */

static int read_ttl(struct kf_api_request *request, const json_t *value, struct kf_source_row *row)
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

/* ---- a change -------------------------------------------------------------------------------- */

/* One under way. Few covered blocks are done at once, many in slices of the loop's spare time. */
struct job {
	struct kf_work_item item;
	struct kf_api_request *request;
	struct kf_source_change *change;
	struct kf_source_row row;
	bool removes;
	struct kf_why why;
};

static void job_free(struct job *job)
{
	kf_policy_source_change_close(job->change);
	free(job);
}
KF_CLEANUP_DEFINE(struct job, job_free)

static int answer_changed(const struct job *job, int result)
{
	struct kf_api_request *request = job->request;
	char text[KF_CIDR_TEXT];

	if (result == -ENOENT && job->removes)
		return kf_api_refuse_missing(request, "source");
	if (result)
		return kf_api_refuse_error(request, result, &job->why);
	if (!job->removes)
		return kf_api_reply(request,
				    kf_policy_source_change_replaced(job->change)
					    ? MHD_HTTP_OK
					    : MHD_HTTP_CREATED,
				    source_json(&job->row));
	kf_cidr_format(&job->row.cidr, text);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "cidr", text, "state", "removed"));
}

static int change_some(struct kf_work_item *item)
{
	struct job *job = (struct job *)item;

	return kf_policy_source_change_step(job->change, &job->why);
}

static int refuse_ending(const struct job *job)
{
	bool stored = kf_policy_source_change_is_stored(job->change);

	return kf_api_refuse(job->request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending",
			     stored ? "look at the list when it runs" : "ask again when it runs",
			     "keyfilterd is ending, and the change is %s",
			     stored ? "stored, and in force from the next start on"
				    : "not stored: the next start does not know it");
}

static void end_change(struct kf_work_item *item, int result)
{
	_cleanup_(job_freep) struct job *job = (struct job *)item;

	kf_api_done(job->request,
		    result == -ECANCELED ? refuse_ending(job) : answer_changed(job, result));
}

static int begin_change(struct kf_api_request *request, const struct kf_source_row *row,
			bool removes)
{
	_cleanup_(job_freep) struct job *job = calloc(1, sizeof(*job));
	struct kf_policy *policy = request->daemon->policy;
	int more;

	if (!job)
		return -ENOMEM;
	job->item = (struct kf_work_item){ .step = change_some, .done = end_change };
	job->request = request;
	job->row = *row;
	job->removes = removes;
	more = removes ? kf_policy_source_change_remove(&job->change, policy, &row->cidr)
		       : kf_policy_source_change_put(&job->change, policy, row);
	if (more)
		return more;
	for (int i = 0; !i || (more > 0 && i < STEPS_AT_ONCE); i++)
		more = kf_policy_source_change_step(job->change, &job->why);
	if (more <= 0)
		return answer_changed(job, more);
	kf_work_add(request->daemon->work, &TAKE_PTR(job)->item);
	return KF_API_LATER;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int handle_create(struct kf_api_request *request)
{
	struct kf_source_row row = { .created = kf_policy_time(request->daemon->policy).wall_ns };
	json_t *cidr, *action, *ttl;
	const struct kf_api_member members[] = {
		{ "cidr", KF_API_STRING | KF_API_REQUIRED, &cidr },
		{ "action", KF_API_STRING | KF_API_REQUIRED, &action },
		{ "ttl", KF_API_STRING | KF_API_INTEGER | KF_API_NULL, &ttl },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = kf_api_cidr(request, "cidr", json_string_value(cidr), &row.cidr);
	if (!err)
		err = kf_api_word(request, "action", action, actions, KF_API_COUNT(actions),
				  "give deny or allow", &row.action);
	if (!err)
		err = read_ttl(request, ttl, &row);
	if (err)
		return err;
	return begin_change(request, &row, false);
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
static int read_after(struct kf_api_request *request, const char *text, struct kf_source_row *after)
{
	const char *comma = text ? strrchr(text, ',') : NULL;
	char cidr[KF_CIDR_TEXT];

	if (!text)
		return 0;
	snprintf(cidr, sizeof(cidr), "%.*s", comma ? (int)(comma - text) : 0, text);
	for (uint8_t i = 0; comma && i < KF_API_COUNT(actions); i++) {
		after->action = i;
		if (!strcmp(comma + 1, actions[i]) && !kf_cidr_parse(cidr, &after->cidr))
			return 0;
	}
	return kf_api_refuse_after(request);
}

static json_t *cursor_json(const struct page *page)
{
	char cidr[KF_CIDR_TEXT];

	if (!page->more)
		return json_null();
	kf_cidr_format(&page->last.cidr, cidr);
	return json_sprintf("%s,%s", cidr, actions[page->last.action]);
}

static int list_configured(struct kf_api_request *request)
{
	_cleanup_json_ json_t *array = json_array();
	struct page page = { .array = array };
	struct kf_source_row after = { 0 };
	const char *text;
	int err = kf_api_page(request, &text, &page.limit);

	if (!err)
		err = read_after(request, text, &after);
	if (!err)
		err = kf_store_source_page(request->daemon->store, text ? &after : NULL,
					   page.limit + 1, append_source, &page);
	if (err)
		return err;
	return kf_api_reply(
		request, MHD_HTTP_OK,
		json_pack("{s:o, s:o}", "sources", TAKE_PTR(array), "next", cursor_json(&page)));
}

/* ---- penalties ------------------------------------------------------------------------------- */

static int remember_name(void *context, const struct kf_service_row *row)
{
	const char **names = context;

	names[row->index] = strdup(row->name);
	return names[row->index] ? 0 : -ENOMEM;
}

struct names {
	char *of[KF_SERVICES_MAX];
};

static void free_names(struct names *names)
{
	for (size_t i = 0; i < KF_SERVICES_MAX; i++)
		free(names->of[i]);
}

/* Only a penalised source has times. @service: the one that raised the penalty. */
static json_t *penalty_json(const struct kf_penalty *penalty, const struct kf_clock *now,
			    const char *service)
{
	bool penalised = kf_sourcestate_in_force(penalty->until_ns, now->boot_ns);
	uint64_t left_ns = penalised ? penalty->until_ns - now->boot_ns : 0;
	char cidr[KF_CIDR_TEXT];
	struct kf_cidr block;

	kf_traffic_penalty_block(penalty, &block);
	kf_cidr_format(&block, cidr);
	return json_pack("{s:s, s:s?, s:I, s:I, s:I, s:o, s:I}", "cidr", cidr, "service",
			 penalised ? service : NULL, "failures", (json_int_t)penalty->failures,
			 "successes", (json_int_t)kf_penalty_good(penalty->successes), "level",
			 (json_int_t)penalty->level, "until",
			 penalised ? kf_api_time(kf_policy_compile_wall(now, penalty->until_ns))
				   : json_null(),
			 "remaining_s",
			 (json_int_t)((left_ns + KF_TIMETEXT_SECOND - 1) / KF_TIMETEXT_SECOND));
}

/* A cursor is the number of a place in the table. */
static int read_place(struct kf_api_request *request, const char *text, uint32_t *place)
{
	if (!text)
		return 0;
	if (!*text || strlen(text) >= 10 || text[strspn(text, "0123456789")])
		return kf_api_refuse_after(request);
	*place = (uint32_t)strtoul(text, NULL, 10);
	return 0;
}

/* Names are looked up once for a page. */
static int append_penalties(struct kf_api_request *request, struct kf_penalty_walk *walk,
			    unsigned int limit, json_t *array, json_t **next)
{
	_cleanup_(free_names) struct names names = { 0 };
	struct kf_clock now = kf_clock_now();
	struct kf_penalty penalty;
	uint32_t place = walk->place;
	int err = kf_store_service_each(request->daemon->store, remember_name, names.of);

	if (err)
		return err;
	while (kf_traffic_penalty_walk_next(walk, &penalty)) {
		if (json_array_size(array) == limit) {
			*next = json_sprintf("%u", place);
			return *next ? 0 : -ENOMEM;
		}
		place = walk->place;
		if (json_array_append_new(array,
					  penalty_json(&penalty, &now, names.of[penalty.service])))
			return -ENOMEM;
	}
	*next = json_null();
	return 0;
}

static int list_penalties(struct kf_api_request *request, enum kf_penalty_kind kind)
{
	_cleanup_json_ json_t *array = json_array();
	struct kf_penalty_walk walk;
	unsigned int limit;
	const char *after;
	json_t *next;
	int err = kf_api_page(request, &after, &limit);

	kf_traffic_penalty_walk_begin(&walk, request->daemon->maps, kind);
	if (!err)
		err = read_place(request, after, &walk.place);
	if (!err)
		err = append_penalties(request, &walk, limit, array, &next);
	if (err)
		return err;
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:o, s:o}", "sources", TAKE_PTR(array), "next", next));
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "after", "limit", "penalised", "failing", NULL };
	bool penalised = false, failing = false;
	int err = kf_api_parameters(request, known);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_api_parameter_flag(request, "penalised", &penalised);
	if (!err)
		err = kf_api_parameter_flag(request, "failing", &failing);
	if (err)
		return err;
	if (penalised && failing)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "give one of the two",
				     "`penalised` and `failing` exclude each other");
	if (penalised || failing)
		return list_penalties(request,
				      penalised ? KF_PENALTY_IN_FORCE : KF_PENALTY_FAILING);
	return list_configured(request);
}

static int handle_forgive(struct kf_api_request *request)
{
	struct kf_penalty_forgiven forgiven;
	char text[KF_CIDR_TEXT];
	struct kf_cidr cidr;
	json_t *value;
	const struct kf_api_member members[] = {
		{ "cidr", KF_API_STRING | KF_API_REQUIRED, &value },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = kf_api_cidr(request, "cidr", json_string_value(value), &cidr);
	if (err)
		return err;
	forgiven = kf_traffic_penalty_forgive(request->daemon->penalties, &cidr);
	kf_cidr_format(&cidr, text);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:I, s:I}", "cidr", text, "forgiven",
				      (json_int_t)forgiven.sources, "penalised",
				      (json_int_t)forgiven.penalised));
}

static int handle_delete(struct kf_api_request *request)
{
	struct kf_source_row row = { 0 };
	int err = kf_api_no_members(request);

	if (!err)
		err = kf_api_cidr(request, "cidr", request->name, &row.cidr);
	return err ? err : begin_change(request, &row, true);
}

const struct kf_api_route kf_api_source_routes[] = {
	{ "GET", "/v1/sources", handle_list, false },
	{ "POST", "/v1/sources", handle_create, false },
	{ "POST", "/v1/sources/forgive", handle_forgive, false },
	{ "DELETE", "/v1/sources/{*}", handle_delete, false }, /* a CIDR has a slash in it */
	{ 0 },
};
