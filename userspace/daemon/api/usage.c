// SPDX-License-Identifier: GPL-2.0-only
/*
 * What requests have used: reported, and listed by day.
 *
 * Reports wait for the loop's spare time and are booked together, as many in one transaction as a
 * slice has room for, so that a commit serves many of them; each is answered when it is durable.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <microhttpd.h>

#include "api/request.h"
#include "api/route.h"
#include "base/work.h"
#include "cleanup.h"
#include "clock.h"
#include "policy/policy.h"
#include "policy/usage.h"
#include "why.h"

#define REPORTS_MAX 1000
#define SLICE_NS    500000 /* of booking, before a commit */

/* ---- reports that wait ----------------------------------------------------------------------- */

struct report {
	struct kf_usage_row usage;
	int err; /* as kf_policy_usage_book() */
	struct kf_why why;
};

/* A request's reports, the first @at of which are dealt with. */
struct waiting {
	TAILQ_ENTRY(waiting) entry;
	struct kf_api_request *request;
	bool single; /* it is one report, and not a list of them */
	size_t count, at;
	struct report reports[];
};

/* There while any wait. */
struct kf_api_usage {
	struct kf_work_item item; /* first */
	struct kf_daemon *daemon;
	TAILQ_HEAD(, waiting) list;
};

/* ---- answers --------------------------------------------------------------------------------- */

static const char *code_of(int err)
{
	switch (err) {
	case -ENOENT:
		return "not_found";
	case -ENODATA:
		return "no_price";
	case -EEXIST:
		return "reported_before";
	default:
		return "bad_value";
	}
}

static json_t *report_json(const struct report *report)
{
	json_t *json = json_pack("{s:s, s:s}", "request_id", report->usage.request, "key_id",
				 report->usage.key);

	if (report->err >= 0)
		return kf_api_join(json,
				   json_pack("{s:o, s:b}", "cost", kf_api_money(report->usage.cost),
					     "repeated", report->err > 0));
	return kf_api_join(json,
			   json_pack("{s:{s:s, s:s, s:s}}", "error", "code", code_of(report->err),
				     "message", report->why.cause, "mend", report->why.mend));
}

static int answer_single(struct kf_api_request *request, const struct report *report)
{
	int status = report->err == -ENOENT   ? MHD_HTTP_NOT_FOUND
		     : report->err == -EEXIST ? MHD_HTTP_CONFLICT
					      : MHD_HTTP_BAD_REQUEST;

	if (report->err < 0)
		return kf_api_refuse_why(request, status, code_of(report->err), &report->why);
	return kf_api_reply(request, MHD_HTTP_OK, report_json(report));
}

static int answer_list(struct kf_api_request *request, const struct waiting *waiting)
{
	_cleanup_json_ json_t *array = json_array();
	uint64_t booked = 0, repeated = 0;

	for (size_t i = 0; i < waiting->count; i++) {
		booked += waiting->reports[i].err == 0;
		repeated += waiting->reports[i].err > 0;
		if (json_array_append_new(array, report_json(&waiting->reports[i])))
			return -ENOMEM;
	}
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:I, s:I, s:I, s:O}", "booked", (json_int_t)booked,
				      "repeated", (json_int_t)repeated, "refused",
				      (json_int_t)(waiting->count - booked - repeated), "results",
				      array));
}

static void count_reports(struct kf_daemon_usage *used, const struct waiting *waiting)
{
	for (size_t i = 0; i < waiting->count; i++) {
		int err = waiting->reports[i].err;

		used->booked += !err;
		used->repeated += err > 0;
		used->refused += err < 0;
	}
}

/* All its reports are durable, or refused. */
static void finish(struct waiting *waiting)
{
	struct kf_api_request *request = waiting->request;
	int err = waiting->single ? answer_single(request, &waiting->reports[0])
				  : answer_list(request, waiting);

	count_reports(&request->daemon->used, waiting);
	free(waiting);
	kf_api_done(request, err);
}

/* Those of its reports that were booked stay so; reporting all of them again does no harm. */
static void fail(struct waiting *waiting, int err, const struct kf_why *why)
{
	struct kf_api_request *request = waiting->request;

	free(waiting);
	kf_api_done(request, kf_api_refuse_error(request, err, why));
}

/* ---- booking --------------------------------------------------------------------------------- */

/* Where the first report stands that is not dealt with. */
struct place {
	struct waiting *waiting; /* NULL: behind all */
	size_t at;
};

static struct report *report_at(const struct place *place)
{
	return &place->waiting->reports[place->at];
}

static void advance(struct place *place)
{
	if (++place->at < place->waiting->count)
		return;
	place->waiting = TAILQ_NEXT(place->waiting, entry);
	place->at = place->waiting ? place->waiting->at : 0;
}

/* Books from @place on until the slice is over, or the store fails: -errno, with @why. */
static int book_some(struct kf_policy *policy, struct place *place, struct kf_why *why)
{
	uint64_t until = kf_clock_monotonic() + SLICE_NS;

	while (place->waiting && kf_clock_monotonic() < until) {
		struct report *report = report_at(place);

		report->err = kf_policy_usage_book(policy, &report->usage, &report->why);
		if (report->err < 0 && !kf_policy_usage_is_refused(report->err)) {
			*why = report->why;
			return report->err;
		}
		advance(place);
	}
	return 0;
}

/*
 * What was booked from the first waiting report up to @end is in force. In a transaction, so that
 * the rows of many keys are read with one lock of the file; it changes nothing.
 */
static void apply_some(struct kf_api_usage *queue, const struct place *end)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = queue->daemon->store;
	struct waiting *first = TAILQ_FIRST(&queue->list);
	struct place place = { .waiting = first, .at = first->at };
	const char *last = "";

	kf_store_begin(open);
	while (place.waiting && (place.waiting != end->waiting || place.at != end->at)) {
		struct report *report = report_at(&place);

		if (report->err == 0 && strcmp(last, report->usage.key) != 0) {
			/* what cannot be read now is in force with the next report, or start */
			kf_policy_usage_apply(queue->daemon->policy, report->usage.key);
			last = report->usage.key;
		}
		advance(&place);
	}
}

static void finish_some(struct kf_api_usage *queue, const struct place *end)
{
	struct waiting *waiting;

	while ((waiting = TAILQ_FIRST(&queue->list)) && waiting != end->waiting) {
		TAILQ_REMOVE(&queue->list, waiting, entry);
		finish(waiting);
	}
	if (waiting)
		waiting->at = end->at;
}

static void fail_all(struct kf_api_usage *queue, int err, const struct kf_why *why)
{
	struct waiting *waiting;

	while ((waiting = TAILQ_FIRST(&queue->list))) {
		TAILQ_REMOVE(&queue->list, waiting, entry);
		fail(waiting, err, why);
	}
}

static int step(struct kf_work_item *item)
{
	struct kf_api_usage *queue = (struct kf_api_usage *)item;
	struct kf_store *store = queue->daemon->store;
	_cleanup_(kf_store_rollbackp) struct kf_store *open = store;
	struct place place = { .waiting = TAILQ_FIRST(&queue->list) };
	struct kf_why why = { 0 };
	int err = kf_store_begin(store);

	place.at = place.waiting->at;
	if (!err)
		err = book_some(queue->daemon->policy, &place, &why);
	if (!err)
		err = kf_store_commit(store);
	if (err && !*why.text)
		kf_why_set(&why, err, "cannot book it: %s; report it again, %s",
			   kf_store_error(store), kf_store_mend(err));
	if (err) {
		kf_store_rollback(store);
		fail_all(queue, err, &why);
		return 0;
	}
	apply_some(queue, &place);
	finish_some(queue, &place);
	return !TAILQ_EMPTY(&queue->list);
}

static void end(struct kf_work_item *item, int result)
{
	struct kf_api_usage *queue = (struct kf_api_usage *)item;
	struct kf_why why;

	queue->daemon->usage = NULL;
	if (result == -ECANCELED) {
		kf_why_set(&why, -EBUSY, "keyfilterd is ending; report it again when it runs");
		fail_all(queue, -EBUSY, &why);
	}
	free(queue);
}

static int enqueue(struct kf_daemon *daemon, struct waiting *waiting)
{
	struct kf_api_usage *queue = daemon->usage;

	if (!queue) {
		queue = calloc(1, sizeof(*queue));
		if (!queue)
			return -ENOMEM;
		queue->item = (struct kf_work_item){ .step = step, .done = end };
		queue->daemon = daemon;
		TAILQ_INIT(&queue->list);
		kf_work_add(daemon->work, &queue->item);
		daemon->usage = queue;
	}
	TAILQ_INSERT_TAIL(&queue->list, waiting, entry);
	return KF_API_LATER;
}

/* ---- reading a report ------------------------------------------------------------------------ */

static int read_text(struct kf_api_request *request, const char *member, const json_t *value,
		     char *out, size_t size)
{
	const char *text = json_string_value(value);
	size_t len = strlen(text);

	if (!len || len >= size)
		return kf_api_refuse_value(request, member, "give another one",
					   "it has %zu bytes and must have 1 to %zu", len,
					   size - 1);
	if (kf_api_has_control(text))
		return kf_api_refuse_value(request, member, "give another one",
					   "it has control characters");
	memcpy(out, text, len + 1);
	return kf_api_no_secret(request, member, text);
}

static int read_count(struct kf_api_request *request, const char *member, const json_t *value,
		      int64_t *count)
{
	json_int_t n = json_integer_value(value);

	if (!value)
		return 0;
	if (n < 0 || n > KF_USAGE_TOKENS_TOP)
		return kf_api_refuse_value(request, member, "give 0 to 1000000000",
					   "it is %" JSON_INTEGER_FORMAT, n);
	*count = n;
	return 0;
}

static int read_report(struct kf_api_request *request, const json_t *object,
		       struct kf_usage_row *usage)
{
	json_t *key, *model, *id, *prompt, *cached, *cache_write, *completion;
	const struct kf_api_member members[] = {
		{ "key_id", KF_API_STRING | KF_API_REQUIRED, &key },
		{ "model", KF_API_STRING | KF_API_REQUIRED, &model },
		{ "request_id", KF_API_STRING | KF_API_REQUIRED, &id },
		{ "prompt", KF_API_INTEGER | KF_API_REQUIRED, &prompt },
		{ "completion", KF_API_INTEGER | KF_API_REQUIRED, &completion },
		{ "cached", KF_API_INTEGER, &cached },
		{ "cache_write", KF_API_INTEGER, &cache_write },
	};
	int err = kf_api_members_of(request, object, members, KF_API_COUNT(members));

	if (!err)
		err = read_text(request, "key_id", key, usage->key, sizeof(usage->key));
	if (!err)
		err = read_text(request, "model", model, usage->model, sizeof(usage->model));
	if (!err)
		err = read_text(request, "request_id", id, usage->request, sizeof(usage->request));
	if (!err)
		err = read_count(request, "prompt", prompt, &usage->counts.prompt);
	if (!err)
		err = read_count(request, "completion", completion, &usage->counts.completion);
	if (!err)
		err = read_count(request, "cached", cached, &usage->counts.cached);
	if (!err)
		err = read_count(request, "cache_write", cache_write, &usage->counts.cache_write);
	return err;
}

static int read_reports(struct kf_api_request *request, const json_t *list, struct waiting *out)
{
	int err = 0;

	for (size_t i = 0; !err && i < out->count; i++) {
		const json_t *object = json_array_get(list, i);

		if (!json_is_object(object))
			return kf_api_refuse_value(request, "reports", "give a list of objects",
						   "number %zu is none", i + 1);
		err = read_report(request, object, &out->reports[i].usage);
	}
	return err;
}

/* One report, or {"reports":[...]}. */
static int handle_report(struct kf_api_request *request)
{
	_cleanup_free_ struct waiting *waiting = NULL;
	json_t *list = json_object_get(request->body, "reports");
	size_t count = list ? json_array_size(list) : 1;
	const struct kf_api_member members[] = {
		{ "reports", KF_API_ARRAY | KF_API_REQUIRED, &list },
	};
	int err = list ? kf_api_members(request, members, KF_API_COUNT(members)) : 0;

	if (!err && (!count || count > REPORTS_MAX))
		err = kf_api_refuse_value(request, "reports", "give 1 to 1000",
					  "there are %zu of them", count);
	if (err)
		return err;
	waiting = calloc(1, sizeof(*waiting) + count * sizeof(waiting->reports[0]));
	if (!waiting)
		return -ENOMEM;
	waiting->request = request;
	waiting->single = !list;
	waiting->count = count;
	err = list ? read_reports(request, list, waiting)
		   : read_report(request, request->body, &waiting->reports[0].usage);
	if (err && err != -ENOMEM)
		request->daemon->used.refused += waiting->count;
	if (err)
		return err;
	err = enqueue(request->daemon, waiting);
	if (err == KF_API_LATER)
		TAKE_PTR(waiting);
	return err;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct page {
	json_t *array;
	uint32_t limit;
	int64_t last;
	bool more;
};

static int append_day(void *context, const struct kf_usage_day_row *row)
{
	struct page *page = context;
	json_t *json;

	if (json_array_size(page->array) == page->limit) {
		page->more = true;
		return 0;
	}
	page->last = row->seq;
	json = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "day",
			 kf_api_time(row->day), "key", row->key, "model", row->model, "requests",
			 (json_int_t)row->requests, "prompt", (json_int_t)row->counts.prompt,
			 "cached", (json_int_t)row->counts.cached, "cache_write",
			 (json_int_t)row->counts.cache_write, "completion",
			 (json_int_t)row->counts.completion, "cost", kf_api_money(row->cost));
	return json_array_append_new(page->array, json) ? -ENOMEM : 0;
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "key", "model", "since", "after", "limit", NULL };
	_cleanup_json_ json_t *array = json_array();
	struct page page = { .array = array };
	struct kf_usage_query query = { 0 };
	char cursor[24];
	int err = kf_api_parameters(request, known);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_api_parameter_since(
			request, kf_policy_time(request->daemon->policy).wall_ns, &query.since);
	if (!err)
		err = kf_api_page_number(request, &query.after, &query.limit);
	if (err)
		return err;
	query.key = kf_api_parameter(request, "key");
	query.model = kf_api_parameter(request, "model");
	page.limit = query.limit++;
	err = kf_store_usage_days(request->daemon->store, &query, append_day, &page);
	if (err)
		return kf_api_refuse_internal(request, err, "reading the usage");
	snprintf(cursor, sizeof(cursor), "%" PRId64, page.last);
	return kf_api_reply(
		request, MHD_HTTP_OK,
		json_pack("{s:O, s:s?}", "days", array, "next", page.more ? cursor : NULL));
}

const struct kf_api_route kf_api_usage_routes[] = {
	{ "POST", "/v1/usage", handle_report, false },
	{ "GET", "/v1/usage", handle_list, false },
	{ 0 },
};
