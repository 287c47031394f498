// SPDX-License-Identifier: GPL-2.0-only
#include "policy/answer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <keyfilter/http1_state.h>

#include "cleanup.h"

/* ---- the words ------------------------------------------------------------------------------- */

/*
 * For the developer who reads the exception: the cause, then the mend. No word about what else this
 * host knows: a client that tries keys learns no more from it than from the status.
 */
struct words {
	const char *code;
	const char *message;
};

static const struct words words[KF_REASON_COUNT] = {
	[KF_REASON_NO_KEY] = { "missing_api_key", NULL }, /* see key_field() */
	[KF_REASON_UNKNOWN_KEY] = { "invalid_api_key",
				    "This API key is not known here; check that it was copied "
				    "whole and has not been deleted." },
	[KF_REASON_KEY_DISABLED] = { "api_key_disabled",
				     "This API key is disabled; ask whoever gave it to you to "
				     "enable it, or use another one." },
	[KF_REASON_KEY_EXPIRED] = { "api_key_expired", "This API key has expired; ask whoever gave "
						       "it to you for a new one." },
	[KF_REASON_IP_NOT_ALLOWED] = { "ip_not_allowed",
				       "This API key may not be used from this address; use it "
				       "from one that it allows, or ask for yours to be added." },
	[KF_REASON_PROTOCOL_NOT_ALLOWED] = { "protocol_not_allowed",
					     "This API key may not use this API; call one that it "
					     "allows, or ask for this one to be added." },
	[KF_REASON_MODEL_NOT_ALLOWED] = { "model_not_allowed",
					  "This API key may not use this model; choose one that it "
					  "allows, or ask for this one to be added." },
	[KF_REASON_MODEL_NOT_PRICED] = { "model_not_priced",
					 "This API key draws on a balance, and this model has no "
					 "price here; choose another one, or ask for it to be "
					 "given a price." },
	[KF_REASON_KEY_EXHAUSTED] = { "insufficient_quota", "The quota of this API key is used up; "
							    "ask for more, or use another key." },
	[KF_REASON_ACCOUNT_EXHAUSTED] = { "insufficient_quota",
					  "The balance of the account behind this API key is used "
					  "up; top the account up." },
	[KF_REASON_RATE_LIMITED] = { "rate_limit_exceeded",
				     "This API key sends requests too fast; wait for as many "
				     "seconds as retry-after says, then send this one again." },
	[KF_REASON_MALFORMED] = { "malformed_request",
				  "This request is not valid HTTP/1.1, or could be read in more "
				  "than one way; correct the client (the operator finds the cause "
				  "under the request id)." },
	[KF_REASON_HEAD_TOO_LARGE] = { "head_too_large",
				       "The header of this request is too large: over 16 KiB in "
				       "all, 100 fields, or 8190 bytes in a line; send fewer or "
				       "shorter fields." },
	[KF_REASON_HEAD_TIMEOUT] = { "request_timeout",
				     "This request came in pieces that could not be kept until all "
				     "of them had arrived; send it again." },
	[KF_REASON_BODY_NOT_READABLE] = { "unsupported_body",
					  "This API key may use some models only, or draws on a "
					  "balance, and the body of this request does not tell "
					  "which one it asks for; send "
					  "plain JSON with a 'model' in it, not compressed." },
};
KF_STATIC_ASSERT(KF_HEAD_MAX == 16384 && KF_HTTP1_FIELDS_MAX == 100 && KF_HTTP1_LINE_MAX == 8190,
		 "the words of head_too_large name the limits");

static unsigned int status_of(unsigned int reason)
{
	static const unsigned short statuses[] = {
#define X(symbol, name, class, status) [KF_REASON_##symbol] = status,
		KF_REASONS(X)
#undef X
	};

	return reason < KF_REASON_COUNT ? statuses[reason] : 0;
}

const char *kf_policy_answer_code(unsigned int reason)
{
	return status_of(reason) ? words[reason].code : NULL;
}

/* Where clients of this protocol carry their key. */
static const char *key_field(unsigned int protocol)
{
	switch (protocol) {
	case KF_PROTOCOL_ANTHROPIC:
		return "x-api-key: KEY";
	case KF_PROTOCOL_GEMINI:
		return "x-goog-api-key: KEY";
	default:
		return "Authorization: Bearer KEY";
	}
}

/* Repeating any other request unchanged ends in the same refusal. */
static bool is_worth_repeating(unsigned int reason)
{
	return reason == KF_REASON_RATE_LIMITED || reason == KF_REASON_HEAD_TIMEOUT;
}

/* ---- the body -------------------------------------------------------------------------------- */

/*
 * OpenAI's own servers call a bad key an invalid_request_error, too; its SDKs go by status and
 * code.
 */
static json_t *openai_body(unsigned int reason, const char *message)
{
	const char *code = kf_policy_answer_code(reason);
	const char *type = "invalid_request_error";

	if (!strcmp(code, "insufficient_quota"))
		type = code;
	else if (reason == KF_REASON_RATE_LIMITED)
		type = "requests"; /* what ran out, in OpenAI's words: not tokens */
	return json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", message, "type", type,
			 "param", "code", code);
}

/* https://docs.claude.com/en/api/errors */
static const char *anthropic_type(unsigned int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 429:
		return "rate_limit_error";
	case 413:
	case 431:
		return "request_too_large";
	default:
		return "invalid_request_error";
	}
}

/* Newer SDKs read the code from details, as errorCode; for the others the message ends with it. */
static json_t *anthropic_body(unsigned int reason, const char *message)
{
	const char *code = kf_policy_answer_code(reason);

	return json_pack("{s:s, s:{s:s, s:s+++, s:{s:s}}}", "type", "error", "error", "type",
			 anthropic_type(status_of(reason)), "message", message, " (", code, ")",
			 "details", "error_code", code);
}

/* google.rpc.Code, by google.rpc's own table of HTTP statuses. */
static const char *gemini_status(unsigned int status)
{
	switch (status) {
	case 401:
		return "UNAUTHENTICATED";
	case 403:
		return "PERMISSION_DENIED";
	case 429:
		return "RESOURCE_EXHAUSTED";
	default:
		return "INVALID_ARGUMENT";
	}
}

static json_t *gemini_body(unsigned int reason, const char *message)
{
	int status = (int)status_of(reason);

	return json_pack("{s:{s:i, s:s+++, s:s}}", "error", "code", status, "message", message,
			 " (", kf_policy_answer_code(reason), ")", "status", gemini_status(status));
}

/* Compact; to be freed. NULL: no memory. */
static char *make_body(unsigned int reason, unsigned int detail, unsigned int protocol)
{
	_cleanup_json_ json_t *body = NULL;
	const char *message = words[reason].message;
	char no_key[128];

	if (reason == kf_detail_reason(detail))
		message = kf_policy_answer_detail(detail) ?: message;

	if (reason == KF_REASON_NO_KEY) {
		snprintf(no_key, sizeof(no_key),
			 "This request carries no API key; send one, for example as '%s'.",
			 key_field(protocol));
		message = no_key;
	}
	if (protocol == KF_PROTOCOL_ANTHROPIC)
		body = anthropic_body(reason, message);
	else if (protocol == KF_PROTOCOL_GEMINI)
		body = gemini_body(reason, message);
	else
		body = openai_body(reason, message);
	return body ? json_dumps(body, JSON_COMPACT) : NULL;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* RFC 9110 section 15.5; 429 and 431: RFC 6585. */
static const char *phrase_of(unsigned int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 415:
		return "Unsupported Media Type";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Refused"; /* any text will do (RFC 9112 section 4) */
	}
}

/* The text so far; len goes on past the end, so that one look in the end tells that it fitted. */
struct draft {
	struct kf_answer answer;
	size_t len;
};

static void add(struct draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct draft *draft, const char *format, ...)
{
	char text[KF_ANSWER_TEXT_MAX + 1];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if ((size_t)len <= sizeof(draft->answer.text) &&
	    draft->len <= sizeof(draft->answer.text) - (size_t)len)
		memcpy(draft->answer.text + draft->len, text, (size_t)len);
	draft->len += (size_t)len;
}

/*
 * Both SDKs and curl's users read the id from the field that the protocol's own servers use. No
 * Date: the kernel that sends this knows no calendar (RFC 9110 section 6.6.1).
 */
static void add_head(struct draft *draft, unsigned int reason, unsigned int protocol, size_t body)
{
	unsigned int status = status_of(reason);

	add(draft, "HTTP/1.1 %u %s\r\n", status, phrase_of(status));
	add(draft, "content-type: application/json\r\ncontent-length: %zu\r\n", body);
	add(draft, "connection: close\r\ncache-control: no-store\r\n");
	if (status == 401) /* RFC 9110 section 11.6.1 wants one */
		add(draft, "www-authenticate: Bearer\r\n");
	if (!is_worth_repeating(reason)) {
		add(draft, "x-should-retry: false\r\n");
	} else {
		add(draft, "retry-after:");
		draft->answer.retry_off = (__u16)draft->len;
		add(draft, "%*d\r\n", KF_ANSWER_RETRY_DIGITS, 1);
	}
	add(draft, "%s: req_", protocol == KF_PROTOCOL_ANTHROPIC ? "request-id" : "x-request-id");
	draft->answer.id_off = (__u16)draft->len;
	add(draft, "%0*d\r\n\r\n", KF_ANSWER_ID_DIGITS, 0);
	draft->answer.head_len = (__u16)draft->len;
}

/* ---- HTTP/2 ---------------------------------------------------------------------------------- */

/*
 * RFC 9113: SETTINGS, empty, for it has to come first (section 3.4), and GOAWAY with
 * HTTP_1_1_REQUIRED (section 7): a client that knows both versions takes the other one.
 */
static void make_http2(struct kf_answer *out)
{
	static const char settings[] = "\0\0\0\4\0\0\0\0";
	static const char goaway[] = "\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0";
	static const char why[] = "HTTP/1.1 is required here";
	struct kf_answer answer = { 0 };
	__u8 *at = answer.text;

	memcpy(at, settings, sizeof(settings)); /* with the NUL at the end */
	at += sizeof(settings);
	memcpy(at, goaway, sizeof(goaway));
	at[2] = 8 + sizeof(why) - 1; /* bytes of the frame behind its head */
	at[16] = 0xd;
	at += sizeof(goaway);
	memcpy(at, why, sizeof(why) - 1);
	at += sizeof(why) - 1;
	answer.len = answer.head_len = (__u16)(at - answer.text);
	*out = answer;
}

int kf_policy_answer_make(unsigned int reason, unsigned int detail, unsigned int protocol,
			  struct kf_answer *out)
{
	_cleanup_free_ char *body = NULL;
	struct draft draft = { 0 };

	if (!kf_policy_answer_code(reason))
		return -ENOENT;
	if (reason == KF_REASON_MALFORMED && detail == KF_DETAIL_HTTP2_PREFACE) {
		make_http2(out);
		return 0;
	}
	body = make_body(reason, detail, protocol);
	if (!body)
		return -ENOMEM;
	add_head(&draft, reason, protocol, strlen(body));
	add(&draft, "%s", body);
	if (draft.len > sizeof(draft.answer.text))
		return -EMSGSIZE;
	draft.answer.len = (__u16)draft.len;
	*out = draft.answer;
	return 0;
}
