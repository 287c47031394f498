// SPDX-License-Identifier: GPL-2.0-only
#include "call.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "secrettext.h"
#include "words.h"

#define PAGE_MAX 1000 /* the most that the daemon gives at once */

int kf_call_fail(const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *safe = NULL;
	va_list list;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		kf_output_no_memory();
	va_end(list);
	kf_secrettext_mask(text); /* what was typed is quoted, and what is printed gets logged */
	safe = kf_output_escape(text);
	fflush(stdout);
	fprintf(stderr, "keyfilterctl: %s\n", safe);
	return KF_EXIT_FAILED;
}

/* ---- the request ----------------------------------------------------------------------------- */

static json_t *make_value(const struct kf_given *given)
{
	switch (given->option->type) {
	case KF_OPTION_NUMBER:
		return json_integer(strtoll(given->value, NULL, 10));
	case KF_OPTION_LIMIT:
		return strcmp(given->value, "none") == 0
			       ? json_null()
			       : json_integer(strtoll(given->value, NULL, 10));
	case KF_OPTION_WORD:
		return strcmp(given->value, "none") == 0 ? json_null() : json_string(given->value);
	case KF_OPTION_YESNO:
		return json_boolean(strcmp(given->value, "yes") == 0);
	case KF_OPTION_FLAG:
		return json_true();
	case KF_OPTION_NONE:
		return json_array();
	default:
		return json_string(given->value);
	}
}

static int add_to_list(json_t *body, const char *member, json_t *value)
{
	json_t *list = json_object_get(body, member);

	if (!list) {
		list = json_array();
		json_object_set_new(body, member, list);
	}
	return json_array_append_new(list, value);
}

/* "NAME=VALUE", or NAME alone for null. 1: the name is there already. */
static int add_to_object(json_t *body, const char *member, const struct kf_given *given)
{
	json_t *object = json_object_get(body, member), *value;
	size_t len = strcspn(given->value, "=");
	bool unset = given->option->type == KF_OPTION_UNSET;
	_cleanup_free_ char *name = strndup(given->value, unset ? strlen(given->value) : len);

	if (!name)
		kf_output_no_memory();
	if (!object) {
		object = json_object();
		json_object_set_new(body, member, object);
	}
	if (json_object_get(object, name))
		return 1;
	value = unset ? json_null() : json_string(given->value + len + 1);
	return json_object_set_new(object, name, value);
}

/* For "A.B" the object A, and *member becomes B. */
static json_t *object_of(json_t *body, const char **member)
{
	const char *dot = strchr(*member, '.');
	json_t *object;
	char outer[32];

	if (!dot)
		return body;
	snprintf(outer, sizeof(outer), "%.*s", (int)(dot - *member), *member);
	*member = dot + 1;
	object = json_object_get(body, outer);
	if (object)
		return object;
	object = json_object();
	json_object_set_new(body, outer, object);
	return object;
}

/*
 * json_string() refuses what is not UTF-8, and that is the only way for this to fail, with -1. 1:
 * a name of KF_OPTION_PAIR is there already.
 */
static int add_member(json_t *body, const struct kf_given *given)
{
	const char *member = given->option->member;
	json_t *object;

	if (!member)
		return 0;
	object = object_of(body, &member);
	switch (given->option->type) {
	case KF_OPTION_LIST:
		return add_to_list(object, member, make_value(given));
	case KF_OPTION_PAIR:
	case KF_OPTION_UNSET:
		return add_to_object(object, member, given);
	default:
		return json_object_set_new(object, member, make_value(given));
	}
}

/* The daemon refuses control characters in a request's target (api/uri.h), and no name has any. */
static bool has_control(const char *text)
{
	while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
		text++;
	return *text;
}

/* @member NULL: it stands in the path. */
static int add_operand(struct kf_call *call, const char *name, const char *member,
		       const char *operand)
{
	json_t *value;

	if (!operand)
		return KF_EXIT_DONE;
	value = json_string(operand);
	if (!value)
		return kf_call_fail("%s is not UTF-8; type it in UTF-8", name);
	if (member)
		json_object_set_new(call->body, member, value);
	else
		json_decref(value);
	return has_control(operand)
		       ? kf_call_fail("%s has control characters; type it without", name)
		       : KF_EXIT_DONE;
}

static int make_body(struct kf_call *call)
{
	const struct kf_args *args = call->args;
	int ret;

	call->body = json_object();
	ret = add_operand(call, args->command->operand, args->command->operand_member,
			  args->operand);
	if (ret == KF_EXIT_DONE)
		ret = add_operand(call, args->command->second, args->command->second_member,
				  args->second);
	for (size_t i = 0; ret == KF_EXIT_DONE && i < args->given_count; i++) {
		const struct kf_given *given = &args->given[i];
		int added = add_member(call->body, given);

		if (added > 0)
			ret = kf_call_fail("--%s \"%.64s\" is given twice; give it once",
					   given->option->name, given->value);
		else if (added < 0)
			ret = kf_call_fail("the value of --%s is not UTF-8; type it in UTF-8",
					   given->option->name);
		else if (given->value && has_control(given->value))
			ret = kf_call_fail("the value of --%s has control characters; type it "
					   "without",
					   given->option->name);
	}
	return ret;
}

static char *escape(const char *text)
{
	char *escaped = kf_client_escape(text);

	if (!escaped)
		kf_output_no_memory();
	return escaped;
}

static void put_parameter(FILE *out, char sign, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);
	_cleanup_free_ char *escaped = escape(text ? text : "");

	if (json_is_integer(value))
		fprintf(out, "%c%s=%lld", sign, name, json_integer_value(value));
	else
		fprintf(out, "%c%s=%s", sign, name, json_is_true(value) ? "1" : escaped);
}

static void put_query(FILE *out, const json_t *body)
{
	const char *member;
	json_t *value, *item;
	char sign = '?';
	size_t i;

	json_object_foreach((json_t *)body, member, value) {
		if (!json_is_array(value)) {
			put_parameter(out, sign, member, value);
			sign = '&';
		}
		json_array_foreach(value, i, item) {
			put_parameter(out, sign, member, item);
			sign = '&';
		}
	}
}

char *kf_call_path(const struct kf_call *call)
{
	const struct kf_command *command = call->args->command;
	const char *gap = strstr(command->path, "{}");
	_cleanup_free_ char *operand = gap ? escape(call->args->operand) : NULL;
	size_t size = 0;
	char *path = NULL;
	FILE *out = open_memstream(&path, &size);

	if (!out)
		kf_output_no_memory();
	if (gap)
		fprintf(out, "%.*s%s%s", (int)(gap - command->path), command->path, operand,
			gap + 2);
	else
		fputs(command->path, out);
	if (strcmp(command->method, "GET") == 0)
		put_query(out, call->body);
	if (fclose(out) != 0)
		kf_output_no_memory();
	return path;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* As it came; only a last line that does not end is ended. */
static void print_raw(const struct kf_client_reply *reply)
{
	fwrite(reply->body, 1, reply->len, stdout);
	if (reply->len && reply->body[reply->len - 1] != '\n')
		putchar('\n');
}

int kf_call_refused(const struct kf_call *call, const struct kf_client_reply *reply)
{
	const char *code = NULL, *message = NULL, *mend = NULL;
	_cleanup_free_ char *cause = NULL, *cure = NULL;
	_cleanup_json_ json_t *answer = NULL;
	char why[200];

	if (call->args->json)
		print_raw(reply);
	if (kf_json_read(reply->body, reply->len, &answer, why) < 0 ||
	    !kf_json_is_error(answer, &code, &message, &mend) || !message)
		return kf_call_fail("%s answered %ld without saying why; check that it is "
				    "keyfilterd's socket",
				    call->args->socket, reply->status);
	cause = kf_words_of(call->args->command, message);
	cure = kf_words_of(call->args->command, mend ? mend : "see the log of keyfilterd");
	return kf_call_fail("%s; %s", cause, cure);
}

static int send_request(struct kf_call *call, struct kf_client_reply *reply)
{
	bool get = strcmp(call->args->command->method, "GET") == 0;
	_cleanup_free_ char *path = kf_call_path(call), *body = NULL;
	struct kf_client_why why;

	if (!get && json_object_size(call->body))
		body = json_dumps(call->body, JSON_COMPACT);
	if (kf_client_call(call->client, call->args->command->method, path, body, reply, &why) < 0)
		return kf_call_fail("%s", why.text);
	if (reply->status < 200 || reply->status > 299)
		return kf_call_refused(call, reply);
	return KF_EXIT_DONE;
}

static int read_answer(const struct kf_call *call, const struct kf_client_reply *reply,
		       json_t **answer)
{
	char why[200];

	if (kf_json_read(reply->body, reply->len, answer, why) < 0 || !json_is_object(*answer))
		return kf_call_fail("%s answered what is no JSON object; check that it is "
				    "keyfilterd's socket",
				    call->args->socket);
	return KF_EXIT_DONE;
}

static int print_text(struct kf_call *call, const json_t *answer)
{
	const struct kf_command *command = call->args->command;
	struct kf_output_table table = { .columns = command->rows };

	if (command->render)
		return command->render(call, answer);
	if (command->record)
		kf_output_record(stdout, command->record, answer);
	else
		kf_output_rows(stdout, &table, json_object_get(answer, command->member));
	return KF_EXIT_DONE;
}

/* Prints the answer; @parsed is it as JSON, where somebody had to know. */
static int print_answer(struct kf_call *call, const struct kf_client_reply *reply, json_t **parsed)
{
	const struct kf_command *command = call->args->command;
	int ret;

	if (call->args->json) {
		print_raw(reply);
		return KF_EXIT_DONE;
	}
	if (command->done) {
		kf_output_line(stdout, "%s %s", call->args->operand, command->done);
		return KF_EXIT_DONE;
	}
	ret = read_answer(call, reply, parsed);
	return ret == KF_EXIT_DONE ? print_text(call, *parsed) : ret;
}

/* Has all of stdout arrived? A file on a full or remote disk may say so only when it is synced. */
static bool has_arrived(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return false;
	return fsync(STDOUT_FILENO) == 0 || (errno != EIO && errno != ENOSPC && errno != EDQUOT);
}

int kf_call_run(struct kf_call *call)
{
	_cleanup_reply_ struct kf_client_reply reply = { 0 };
	const struct kf_command *command = call->args->command;
	_cleanup_json_ json_t *answer = NULL;
	int ret = send_request(call, &reply);

	if (ret == KF_EXIT_DONE)
		ret = print_answer(call, &reply, &answer);
	if (ret != KF_EXIT_DONE || (!command->judge && (!command->lost || has_arrived())))
		return ret;
	if (!answer)
		ret = read_answer(call, &reply, &answer);
	if (ret != KF_EXIT_DONE)
		return ret;
	return command->judge ? (int)command->judge(answer) : command->lost(call, answer);
}

static int get_page(struct kf_call *call, json_t **answer)
{
	_cleanup_reply_ struct kf_client_reply reply = { 0 };
	int ret = send_request(call, &reply);

	return ret == KF_EXIT_DONE ? read_answer(call, &reply, answer) : ret;
}

int kf_call_each_page(struct kf_call *call, const char *member, kf_page_fn fn, void *context)
{
	long long left = kf_json_integer(call->body, "limit", -1);

	for (;;) {
		long long page = left < 0 || left > PAGE_MAX ? PAGE_MAX : left;
		_cleanup_json_ json_t *answer = NULL;
		const char *next;
		int ret;

		json_object_set_new(call->body, "limit", json_integer(page));
		ret = get_page(call, &answer);
		if (ret != KF_EXIT_DONE)
			return ret;
		fn(context, json_object_get(answer, member));
		next = kf_json_string(answer, "next");
		/* When nobody can read on, main() says so. */
		if (!next || ferror(stdout))
			return KF_EXIT_DONE;
		if (left >= 0 && (left -= page) <= 0) {
			fflush(stdout);
			kf_output_line(stderr, "There are more: --after %s", next);
			return KF_EXIT_DONE;
		}
		json_object_set_new(call->body, "after", json_string(next));
	}
}

static void print_rows(void *context, const json_t *rows)
{
	kf_output_rows(stdout, context, rows);
}

int kf_call_pages(struct kf_call *call, const char *member, const struct kf_output_column *columns)
{
	struct kf_output_table table = { .columns = columns };

	if (call->args->json)
		return kf_call_run(call);
	return kf_call_each_page(call, member, print_rows, &table);
}

enum kf_exit kf_call_command(const struct kf_args *args)
{
	_cleanup_(kf_client_closep) struct kf_client *client = NULL;
	const struct kf_command *command = args->command;
	struct kf_call call = { .args = args };
	const char *revision = kf_args_value(args, "if-match");
	struct kf_client_why why;
	int ret;

	if (kf_client_open(&client, args->socket, &why) < 0)
		return kf_call_fail("%s", why.text);
	if (revision && kf_client_match(client, revision) < 0)
		kf_output_no_memory();
	call.client = client;
	ret = make_body(&call);
	if (ret == KF_EXIT_DONE)
		ret = command->run ? command->run(&call) : kf_call_run(&call);
	json_decref(call.body);
	return ret;
}
