// SPDX-License-Identifier: GPL-2.0-only
/*
 * daemon/policy/answer.c: every answer is HTTP that a client can read, in the shape of its
 * protocol, with the kernel's places where the offsets say. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <keyfilter/http1_state.h>

#include "policy/answer.h"
#include "traffic/events.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const unsigned int classes[] = {
#define X(symbol, name, class, status) KF_CLASS_##class,
	KF_REASONS(X)
#undef X
};

static const unsigned int statuses[] = {
#define X(symbol, name, class, status) status,
	KF_REASONS(X)
#undef X
};

/* The table of refusals, a line a reason: what each kind of client is told. */
static const struct told {
	unsigned int reason;
	const char *status_line, *code, *openai_type, *anthropic_type, *gemini_status;
} table[] = {
	{ KF_REASON_NO_KEY, "HTTP/1.1 401 Unauthorized", "missing_api_key", "invalid_request_error",
	  "authentication_error", "UNAUTHENTICATED" },
	{ KF_REASON_UNKNOWN_KEY, "HTTP/1.1 401 Unauthorized", "invalid_api_key",
	  "invalid_request_error", "authentication_error", "UNAUTHENTICATED" },
	{ KF_REASON_KEY_DISABLED, "HTTP/1.1 401 Unauthorized", "api_key_disabled",
	  "invalid_request_error", "authentication_error", "UNAUTHENTICATED" },
	{ KF_REASON_KEY_EXPIRED, "HTTP/1.1 401 Unauthorized", "api_key_expired",
	  "invalid_request_error", "authentication_error", "UNAUTHENTICATED" },
	{ KF_REASON_IP_NOT_ALLOWED, "HTTP/1.1 403 Forbidden", "ip_not_allowed",
	  "invalid_request_error", "permission_error", "PERMISSION_DENIED" },
	{ KF_REASON_PROTOCOL_NOT_ALLOWED, "HTTP/1.1 403 Forbidden", "protocol_not_allowed",
	  "invalid_request_error", "permission_error", "PERMISSION_DENIED" },
	{ KF_REASON_MODEL_NOT_ALLOWED, "HTTP/1.1 403 Forbidden", "model_not_allowed",
	  "invalid_request_error", "permission_error", "PERMISSION_DENIED" },
	{ KF_REASON_MODEL_NOT_PRICED, "HTTP/1.1 403 Forbidden", "model_not_priced",
	  "invalid_request_error", "permission_error", "PERMISSION_DENIED" },
	{ KF_REASON_KEY_EXHAUSTED, "HTTP/1.1 429 Too Many Requests", "insufficient_quota",
	  "insufficient_quota", "rate_limit_error", "RESOURCE_EXHAUSTED" },
	{ KF_REASON_ACCOUNT_EXHAUSTED, "HTTP/1.1 429 Too Many Requests", "insufficient_quota",
	  "insufficient_quota", "rate_limit_error", "RESOURCE_EXHAUSTED" },
	{ KF_REASON_RATE_LIMITED, "HTTP/1.1 429 Too Many Requests", "rate_limit_exceeded",
	  "requests", "rate_limit_error", "RESOURCE_EXHAUSTED" },
	{ KF_REASON_MALFORMED, "HTTP/1.1 400 Bad Request", "malformed_request",
	  "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT" },
	{ KF_REASON_HEAD_TOO_LARGE, "HTTP/1.1 431 Request Header Fields Too Large",
	  "head_too_large", "invalid_request_error", "request_too_large", "INVALID_ARGUMENT" },
	{ KF_REASON_HEAD_TIMEOUT, "HTTP/1.1 408 Request Timeout", "request_timeout",
	  "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT" },
	{ KF_REASON_BODY_NOT_READABLE, "HTTP/1.1 415 Unsupported Media Type", "unsupported_body",
	  "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT" },
};

/* ---- reading an answer ----------------------------------------------------------------------- */

#define FIELDS_MAX 16

struct response {
	char text[KF_ANSWER_TEXT_MAX + 1];
	char *status_line;
	struct {
		char *name, *value; /* without the white space around */
	} field[FIELDS_MAX];
	size_t fields;
	const char *body;
};

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *text)
{
	size_t len = strlen(text);

	return len && strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") == len;
}

static void read_field(struct response *response, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	assert_non_null(colon);
	*colon = '\0';
	assert_true(is_token(line)); /* in lower case: nobody minds, and it is one spelling */
	value = colon + 1 + strspn(colon + 1, " ");
	end = value + strlen(value);
	assert_true(*value && end[-1] != ' ');
	for (const char *c = value; c < end; c++)
		assert_true(isprint((unsigned char)*c));
	assert_true(response->fields < FIELDS_MAX);
	response->field[response->fields].name = line;
	response->field[response->fields++].value = value;
}

static void read_response(const struct kf_answer *answer, struct response *response)
{
	char *line, *end;

	memset(response, 0, sizeof(*response));
	memcpy(response->text, answer->text, answer->len);
	assert_int_equal(strlen(response->text), answer->len); /* no NUL in it */
	response->status_line = response->text;
	for (line = response->text;; line = end + 2) {
		end = strstr(line, "\r\n");
		assert_non_null(end);
		*end = '\0';
		if (end == line)
			break;
		if (line != response->text)
			read_field(response, line);
	}
	response->body = end + 2;
	assert_int_equal(response->body - response->text, answer->head_len);
}

/* The one field of this name; NULL: none. */
static const char *field(const struct response *response, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < response->fields; i++) {
		if (strcmp(response->field[i].name, name))
			continue;
		assert_null(value);
		value = response->field[i].value;
	}
	return value;
}

static void assert_field(const struct response *response, const char *name, const char *want)
{
	const char *value = field(response, name);

	assert_true(!value == !want);
	if (want)
		assert_string_equal(value, want);
}

/* ---- each answer ----------------------------------------------------------------------------- */

static void check_head(const struct told *told, unsigned int protocol,
		       const struct response *response)
{
	bool again =
		told->reason == KF_REASON_RATE_LIMITED || told->reason == KF_REASON_HEAD_TIMEOUT;
	bool anthropic = protocol == KF_PROTOCOL_ANTHROPIC;
	char length[24];

	assert_string_equal(response->status_line, told->status_line);
	assert_int_equal(atoi(response->status_line + strlen("HTTP/1.1 ")), statuses[told->reason]);
	snprintf(length, sizeof(length), "%zu", strlen(response->body));
	assert_field(response, "content-length", length);
	assert_field(response, "content-type", "application/json");
	assert_field(response, "connection", "close");
	assert_field(response, "cache-control", "no-store");
	assert_field(response, "www-authenticate", statuses[told->reason] == 401 ? "Bearer" : NULL);
	assert_field(response, "x-should-retry", again ? NULL : "false");
	assert_field(response, "retry-after", again ? "1" : NULL);
	assert_field(response, anthropic ? "request-id" : "x-request-id", "req_0000000000000000");
	assert_null(field(response, anthropic ? "x-request-id" : "request-id"));
	assert_int_equal(response->fields, statuses[told->reason] == 401 ? 7 : 6);
}

/* What the kernel writes there must come out as the field's value. */
static void check_places(const struct told *told, unsigned int protocol,
			 const struct kf_answer *answer)
{
	bool again =
		told->reason == KF_REASON_RATE_LIMITED || told->reason == KF_REASON_HEAD_TIMEOUT;
	struct kf_answer filled = *answer;
	struct response response;

	assert_true(answer->id_off + KF_ANSWER_ID_DIGITS <= answer->head_len);
	memcpy(filled.text + answer->id_off, "0123456789abcdef", KF_ANSWER_ID_DIGITS);
	assert_true(again == !!answer->retry_off);
	if (again)
		memcpy(filled.text + answer->retry_off, "4294967295", KF_ANSWER_RETRY_DIGITS);
	read_response(&filled, &response);
	assert_field(&response, protocol == KF_PROTOCOL_ANTHROPIC ? "request-id" : "x-request-id",
		     "req_0123456789abcdef");
	assert_field(&response, "retry-after", again ? "4294967295" : NULL);
}

/* One sentence with its end, and a mend behind the cause. */
static void check_message(const json_t *error, const char *code, bool named)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	char suffix[64];
	size_t len;

	assert_non_null(message);
	len = strlen(message);
	if (named) {
		snprintf(suffix, sizeof(suffix), ". (%s)", code);
		assert_true(len > strlen(suffix));
		assert_string_equal(message + len - strlen(suffix), suffix);
	} else {
		assert_int_equal(message[len - 1], '.');
	}
	assert_non_null(strstr(message, "; "));
	assert_null(strstr(message, "null"));
}

static void check_body(const struct told *told, unsigned int protocol, const char *body)
{
	json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL), *error, *want;

	assert_non_null(json);
	error = json_object_get(json, "error");
	check_message(error, told->code, protocol != KF_PROTOCOL_OPENAI);
	json_object_del(error, "message");
	if (protocol == KF_PROTOCOL_OPENAI)
		want = json_pack("{s:{s:s, s:n, s:s}}", "error", "type", told->openai_type, "param",
				 "code", told->code);
	else if (protocol == KF_PROTOCOL_ANTHROPIC)
		want = json_pack("{s:s, s:{s:s, s:{s:s}}}", "type", "error", "error", "type",
				 told->anthropic_type, "details", "error_code", told->code);
	else
		want = json_pack("{s:{s:i, s:s}}", "error", "code", statuses[told->reason],
				 "status", told->gemini_status);
	assert_true(json_equal(json, want));
	json_decref(want);
	json_decref(json);
}

static void test_answers(void **state)
{
	struct kf_answer answer;
	struct response response;

	for (size_t i = 0; i < COUNT(table); i++)
		for (unsigned int p = KF_PROTOCOL_OPENAI; p <= KF_PROTOCOL_GEMINI; p++) {
			memset(&answer, 0xff, sizeof(answer));
			assert_int_equal(kf_policy_answer_make(table[i].reason, 0, p, &answer), 0);
			assert_in_range(answer.len, 200, 700);
			read_response(&answer, &response);
			check_head(&table[i], p, &response);
			check_body(&table[i], p, response.body);
			check_places(&table[i], p, &answer);
			for (size_t at = answer.len; at < sizeof(answer.text); at++)
				assert_int_equal(answer.text[at], 0);
			assert_string_equal(kf_policy_answer_code(table[i].reason), table[i].code);
		}
}

/* Every refusal that has a status has an answer, and nothing else has one. */
static void test_every_reason(void **state)
{
	struct kf_answer answer, untouched;
	size_t answered = 0;

	memset(&untouched, 0xa5, sizeof(untouched));
	for (unsigned int reason = 0; reason < KF_REASON_MAX + 2; reason++)
		for (unsigned int p = 0; p < KF_ANSWER_PROTOCOLS; p++) {
			bool refused = reason < KF_REASON_COUNT &&
				       classes[reason] == KF_CLASS_REFUSE && statuses[reason];

			memset(&answer, 0xa5, sizeof(answer));
			assert_int_equal(kf_policy_answer_make(reason, 0, p, &answer),
					 refused ? 0 : -ENOENT);
			assert_true(!!kf_policy_answer_code(reason) == refused);
			if (!refused)
				assert_memory_equal(&answer, &untouched, sizeof(answer));
			answered += refused;
		}
	assert_int_equal(answered, COUNT(table) * KF_ANSWER_PROTOCOLS);
}

/* What is none of the protocols is OpenAI's, so that no number finds an empty place. */
static void test_other_protocol(void **state)
{
	struct kf_answer answer, openai;

	assert_int_equal(kf_policy_answer_make(KF_REASON_NO_KEY, 0, KF_PROTOCOL_OPENAI, &openai),
			 0);
	assert_int_equal(
		kf_policy_answer_make(KF_REASON_NO_KEY, 0, KF_PROTOCOL_GEMINI + 1, &answer), 0);
	assert_memory_equal(&answer, &openai, sizeof(answer));
}

/*
 * What the readers find is told in words of its own; transport's faults are not the client's doing.
 */
static void test_details(void **state)
{
	static const unsigned int later[] = { KF_DETAIL_CHUNK_TOO_LARGE,
					      KF_DETAIL_METHOD,
					      KF_DETAIL_CONTENT,
					      KF_DETAIL_EMPTY_LINES,
					      KF_DETAIL_TARGET_EMPTY_SEGMENT,
					      KF_DETAIL_HOST_DISAGREES };
	struct kf_answer answer, general;
	struct response response;
	struct told told = { 0 };

	for (unsigned int detail = 0; detail < KF_DETAIL_MAX; detail++)
		for (unsigned int p = 0; p <= KF_PROTOCOL_GEMINI; p++) {
			bool told_more = kf_policy_answer_detail(detail);

			if (detail == KF_DETAIL_HTTP2_PREFACE)
				continue;
			for (size_t i = 0; i < COUNT(table); i++)
				if (table[i].reason == kf_detail_reason(detail))
					told = table[i];
			assert_int_equal(kf_policy_answer_make(told.reason, 0, p, &general), 0);
			assert_int_equal(kf_policy_answer_make(told.reason, detail, p, &answer), 0);
			assert_in_range(answer.len, 200, KF_ANSWER_TEXT_MAX - 100);
			assert_true(told_more == !!memcmp(&answer, &general, sizeof(answer)));
			read_response(&answer, &response);
			check_head(&told, p, &response);
			check_body(&told, p, response.body);
			check_places(&told, p, &answer);
		}
	for (unsigned int detail = 1; detail < KF_DETAIL_DATA_ON_SYN; detail++)
		if (detail != KF_DETAIL_HTTP2_PREFACE && !kf_policy_answer_detail(detail))
			fail_msg("%s has no words", kf_detail_name(detail));
	for (size_t i = 0; i < COUNT(later); i++)
		assert_non_null(kf_policy_answer_detail(later[i]));
	for (unsigned int detail = KF_DETAIL_BODY_EMPTY; detail <= KF_DETAIL_BODY_COUNT; detail++)
		assert_non_null(kf_policy_answer_detail(detail));
}

/* What a client of HTTP/2 with prior knowledge understands, byte by byte (RFC 9113 section 4.1). */
static void test_http2(void **state)
{
	static const __u8 want[] = { 0, 0, 0,  4, 0, 0, 0, 0,  0, /* SETTINGS */
				     0, 0, 33, 7, 0, 0, 0, 0,  0, /* GOAWAY */
				     0, 0, 0,  0, 0, 0, 0, 0xd };
	struct kf_answer answer;

	for (unsigned int p = 0; p < KF_ANSWER_PROTOCOLS; p++) {
		memset(&answer, 0xff, sizeof(answer));
		assert_int_equal(kf_policy_answer_make(KF_REASON_MALFORMED, KF_DETAIL_HTTP2_PREFACE,
						       p, &answer),
				 0);
		assert_int_equal(answer.len, sizeof(want) + 25);
		assert_int_equal(answer.head_len, answer.len);
		assert_int_equal(answer.id_off | answer.retry_off, 0);
		assert_memory_equal(answer.text, want, sizeof(want));
		assert_memory_equal(answer.text + sizeof(want), "HTTP/1.1 is required here", 25);
	}
}

/* Who sends no key is told where this protocol's clients put it. */
static void test_key_field(void **state)
{
	static const char *const fields[] = { "Authorization: Bearer KEY", "x-api-key: KEY",
					      "x-goog-api-key: KEY" };
	struct kf_answer answer;
	struct response response;

	for (unsigned int p = 0; p < COUNT(fields); p++) {
		assert_int_equal(kf_policy_answer_make(KF_REASON_NO_KEY, 0, p, &answer), 0);
		read_response(&answer, &response);
		assert_non_null(strstr(response.body, fields[p]));
	}
}

/* ---- the manual ------------------------------------------------------------------------------ */

/* The page has every refusal that occurs with its status and code, and every reason to drop. */
static void test_manual(void **state)
{
	static const char *const names[] = {
#define X(symbol, name, class, status) name,
		KF_REASONS(X)
#undef X
	};
	static char page[1 << 16], line[128];
	FILE *file = fopen("scripts/man/keyfilterctl.1", "re"); /* tests run in the source's root */
	size_t len;

	assert_non_null(file);
	len = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	assert_in_range(len, 1, sizeof(page) - 2);
	for (unsigned int reason = 0; reason < KF_REASON_COUNT; reason++) {
		if (classes[reason] == KF_CLASS_PASS || !kf_traffic_events_reason_occurs(reason))
			continue;
		if (kf_policy_answer_code(reason))
			snprintf(line, sizeof(line), "\n.It %s Ta %u Ta %s\n", names[reason],
				 statuses[reason], kf_policy_answer_code(reason));
		else
			snprintf(line, sizeof(line), "%s", names[reason]);
		if (!strstr(page, line))
			fail_msg("the manual lacks: %s", line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	       cmocka_unit_test(test_every_reason),
		cmocka_unit_test(test_other_protocol), cmocka_unit_test(test_key_field),
		cmocka_unit_test(test_manual),	       cmocka_unit_test(test_details),
		cmocka_unit_test(test_http2),
	};

	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
