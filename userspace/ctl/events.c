// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl events: refusals, cuts and penalties, one a line, as they are told. */
#include <errno.h>
#include <signal.h>
#include <stdio_ext.h>
#include <string.h>

#include "call.h"
#include "json.h"
#include "when.h"

/* Set by SIGINT and SIGTERM; the one thing that a signal needs. */
static volatile bool stop;

static void on_signal(int number)
{
	stop = true;
}

static const char *text_of(const json_t *event, const char *member)
{
	const char *text = kf_json_string(event, member);

	return text ? text : "-";
}

/* "192.0.2.1:4711", "[2001:db8::1]:4711" */
static void put_endpoint(FILE *out, const json_t *event, const char *address, const char *port)
{
	const char *text = text_of(event, address);
	bool bare = strchr(text, ':') != NULL;

	fprintf(out, "%s%s%s:%lld", bare ? "[" : "", text, bare ? "]" : "",
		(long long)kf_json_integer(event, port, 0));
}

static bool is_kind(const json_t *event, const char *kind)
{
	const char *is = kf_json_string(event, "event");

	return is && !strcmp(is, kind);
}

/* "60 s", "2 min" */
static void put_seconds(FILE *out, const char *before, const json_t *event, const char *member)
{
	long long seconds = kf_json_integer(event, member, 0);
	char span[KF_WHEN_SIZE];

	if (!seconds)
		return;
	kf_when_span(seconds, span);
	fprintf(out, "%s%s", before, span);
}

static void put_penalty(FILE *out, const json_t *event)
{
	const char *iface = kf_json_string(event, "iface");

	fprintf(out, "%s %s", text_of(event, "event"), text_of(event, "source"));
	put_seconds(out, " for ", event, "penalty_s");
	if (iface)
		fprintf(out, " on %s", iface);
}

/* Of penalties that ended in the same second as those told before. */
static void put_penalties(FILE *out, const json_t *event, long long count)
{
	fprintf(out, "%s of %lld more source%s", text_of(event, "event"), count,
		count == 1 ? "" : "s");
}

/* Of programs on an interface. */
static void put_filter(FILE *out, const json_t *event)
{
	fprintf(out, "%s on %s: %s", text_of(event, "event"), text_of(event, "iface"),
		is_kind(event, "filter_lost") ? "somebody took programs of ours off"
					      : "they are attached again");
}

/* Of a refused or cut request, or of a dropped packet. */
static void put_refusal(FILE *out, const json_t *event)
{
	const char *detail = kf_json_string(event, "detail");
	const char *key = kf_json_string(event, "key_id");
	const char *id = kf_json_string(event, "request_id");

	fprintf(out, "%s%s", is_kind(event, "cut") ? "cut " : "", text_of(event, "reason"));
	if (detail)
		fprintf(out, " (%s)", detail);
	fputc(' ', out);
	put_endpoint(out, event, "client", "client_port");
	fputs(" -> ", out);
	put_endpoint(out, event, "server", "server_port");
	fprintf(out, " on %s", text_of(event, "iface"));
	if (key)
		fprintf(out, " with %s", key);
	if (id)
		fprintf(out, ", id %s", id);
	put_seconds(out, ", retry after ", event, "retry_after_s");
}

static void put_event(FILE *out, const json_t *event)
{
	long long count = kf_json_integer(event, "count", 0);
	const char *at = text_of(event, "time");
	char local[KF_WHEN_SIZE];

	fprintf(out, "%s %s ", kf_when_local(at, local) == 0 ? local : at,
		text_of(event, "service"));
	if (count)
		put_penalties(out, event, count);
	else if (kf_json_string(event, "source"))
		put_penalty(out, event);
	else if (is_kind(event, "filter_lost") || is_kind(event, "filter_restored"))
		put_filter(out, event);
	else
		put_refusal(out, event);
	if (json_is_true(json_object_get(event, "monitor")))
		fputs(", passed: monitor", out);
}

static void print_event(const json_t *event)
{
	json_int_t missed = kf_json_integer(event, "missed", 0);
	_cleanup_free_ char *line = NULL;
	size_t size;
	FILE *out;

	if (missed) {
		kf_output_line(stdout, "%lld events were missed: this reader is too slow",
			       (long long)missed);
		return;
	}
	out = open_memstream(&line, &size);
	if (!out)
		kf_output_no_memory();
	put_event(out, event);
	if (fclose(out) != 0)
		kf_output_no_memory();
	kf_output_line(stdout, "%s", line);
}

static int render(struct kf_call *call, const json_t *answer)
{
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(answer, "events"), i, event)
		print_event(event);
	return KF_EXIT_DONE;
}

struct stream {
	const struct kf_call *call;
	int cause; /* errno of a failed write */
};

/* A line of the stream. Not 0 when nobody reads what we print. */
static int on_line(char *line, size_t len, void *context)
{
	struct stream *stream = context;
	const struct kf_call *call = stream->call;
	_cleanup_json_ json_t *event = NULL;
	char why[200];

	if (call->args->json)
		printf("%s\n", line);
	else if (kf_json_read(line, len, &event, why) == 0)
		print_event(event);
	else
		kf_call_fail("a line of the stream is not JSON (%s); check that it is keyfilterd's "
			     "socket",
			     why);
	if (fflush(stdout) == 0)
		return 0;
	stream->cause = errno;
	return 1;
}

/* stdout failed: a reader that went away is a good end, of anything else main() will tell. */
static int end_of_output(int cause)
{
	if (cause == EPIPE) {
		__fpurge(stdout);
		clearerr(stdout);
	}
	return KF_EXIT_DONE;
}

static void catch_signals(void)
{
	/* No SA_RESTART: curl's poll() shall return. */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int follow(struct kf_call *call)
{
	_cleanup_reply_ struct kf_client_reply reply = { 0 };
	_cleanup_free_ char *path = kf_call_path(call);
	struct stream stream = { .call = call };
	struct kf_client_why why;

	catch_signals();
	if (kf_client_follow(call->client, path, on_line, &stream, &stop, &reply, &why) < 0)
		return kf_call_fail("%s", why.text);
	if (stop)
		return KF_EXIT_DONE;
	if (stream.cause)
		return end_of_output(stream.cause);
	if (reply.status != 200)
		return kf_call_refused(call, &reply);
	return kf_call_fail("keyfilterd ended the stream; follow again when it is back");
}

static int run(struct kf_call *call)
{
	return kf_args_value(call->args, "follow") ? follow(call) : kf_call_run(call);
}

static const struct kf_option options[] = {
	{ .name = "follow",
	  .member = "follow",
	  .type = KF_OPTION_FLAG,
	  .help = "not those of the past: each as it comes, until Ctrl-C" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .options = options,
	  .method = "GET",
	  .path = "/v1/events",
	  .render = render,
	  .run = run,
	  .help = "Prints the latest refusals, cuts and penalties, oldest first, up to a "
		  "thousand." },
	{ 0 },
};

const struct kf_noun kf_noun_events = { "events", "refusals, cuts and penalties, one a line",
					commands };
