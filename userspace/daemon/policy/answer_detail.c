// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a request is called malformed, or its body not readable, in words for the developer of its
 * client: the cause, then the mend. None of them repeats anything of the request, and several
 * causes that have one mend share a sentence.
 */
#include "policy/answer.h"

#include <stddef.h>

#define LINE_ENDS                                                                                  \
	"A line of this request does not end with CRLF, or has CR or LF inside it; end each line " \
	"with CRLF, and encode line breaks in values."
#define FIELD                                                                                      \
	"A header line of this request has no valid name before its colon; send NAME: VALUE, "     \
	"with no space before the colon, and letters, digits and hyphens in the name."
#define CHUNKED                                                                                    \
	"The chunks of this request's body are not framed as RFC 9112 section 7.1 has it; let an " \
	"HTTP library send the body, or send it with Content-Length."
#define LENGTH                                                                                     \
	"Content-Length of this request is not one plain decimal number; send it once, with "      \
	"digits only."
#define ENCODING                                                                                   \
	"Transfer-Encoding of this request is not 'chunked' alone, once, in HTTP/1.1; send "       \
	"'chunked', or Content-Length in its place."

#define SOME_MODELS "This API key may use some models only, and "
#define NO_MODEL                                                                                   \
	SOME_MODELS                                                                                \
	"this request names none; send JSON with a 'model' in it."
#define JSON                                                                                       \
	SOME_MODELS                                                                                \
	"the body of this request is not one plain JSON object (RFC 8259), sent whole; let a "     \
	"JSON library make it."

static const char *const messages[KF_DETAIL_COUNT] = {
	[KF_DETAIL_BARE_LF] = LINE_ENDS,
	[KF_DETAIL_BARE_CR] = LINE_ENDS,
	[KF_DETAIL_CONTROL_BYTE] = "The header of this request holds a control byte, such as NUL; "
				   "remove it, or encode it.",
	[KF_DETAIL_OBS_FOLD] = "A header line of this request begins with a space, as if it went "
			       "on from the line before; send each field on one line.",
	[KF_DETAIL_SPACE_BEFORE_COLON] = FIELD,
	[KF_DETAIL_FIELD_NAME] = FIELD,
	[KF_DETAIL_FIELD_ALIAS] =
		"The name of a header field differs from one that matters here only by its "
		"hyphens, as content_length does; spell it with hyphens.",
	[KF_DETAIL_REQUEST_LINE] = "The first line of this request is not 'METHOD TARGET "
				   "HTTP/1.1'; separate the three by one space each.",
	[KF_DETAIL_TLS] = "This port takes plain HTTP, and this looks like TLS; use an http:// "
			  "address, or the port that takes https://.",
	[KF_DETAIL_METHOD_CONNECT] =
		"CONNECT is not served here; this is no proxy, send the request itself.",
	[KF_DETAIL_TARGET] =
		"The target of this request holds a character that is not allowed there, or names "
		"a known path in other letters; percent-encode what is not plain ASCII, '#' and "
		"'\\', and write /v1/messages and /v1beta/ in lower case.",
	[KF_DETAIL_TARGET_SEGMENT] =
		"The path of this request has a segment '.' or '..'; send the path that is meant.",
	[KF_DETAIL_TARGET_EMPTY_SEGMENT] =
		"The path of this request has a doubled slash; look for a slash at the end of the "
		"base URL, and send the path with single ones.",
	[KF_DETAIL_TARGET_ENCODING] =
		"The path of this request is percent-encoded where servers decode it differently; "
		"send letters, digits and dots as they are, and no encoded slash next to /v1.",
	[KF_DETAIL_QUERY] = "A parameter of this request could be taken for 'key' once it is "
			    "decoded; send ?key=KEY as it is, with '&' between parameters.",
	[KF_DETAIL_VERSION] = "The first line of this request does not end with HTTP/1.1 or "
			      "HTTP/1.0; use one of them, and encode spaces in the target as %20.",
	[KF_DETAIL_HOST] = "The Host field of this request is not a host name with an optional "
			   "port; send the host of the URL, and nothing else.",
	[KF_DETAIL_HOST_MISSING] =
		"This request has no Host field; send the host of the URL in it.",
	[KF_DETAIL_HOST_TWICE] = "This request has two Host fields; send one.",
	[KF_DETAIL_HOST_DISAGREES] = "The target of this request names another host than its Host "
				     "field; send the same in both, or only the path as target.",
	[KF_DETAIL_KEY_BYTES] =
		"The API key of this request holds a space, or a byte that no key has; check how "
		"it was copied, and that only one is sent in a field.",
	[KF_DETAIL_KEY_TWICE] =
		"This request carries an API key twice in the same place; send it once.",
	[KF_DETAIL_KEYS_DISAGREE] =
		"This request carries two API keys that differ; send one, and look for a second "
		"that the environment or a default header adds.",
	[KF_DETAIL_LENGTH_TWICE] = LENGTH,
	[KF_DETAIL_LENGTH_NOT_DIGITS] = LENGTH,
	[KF_DETAIL_LENGTH_OVERFLOW] =
		"Content-Length of this request is over 2147483647 bytes; send so large a body "
		"with Transfer-Encoding: chunked, or in parts.",
	[KF_DETAIL_LENGTH_AND_ENCODING] =
		"This request has both Content-Length and Transfer-Encoding; send one of them.",
	[KF_DETAIL_TRANSFER_ENCODING] = ENCODING,
	[KF_DETAIL_ENCODING_TWICE] = ENCODING,
	[KF_DETAIL_EXPECT] =
		"The Expect field of this request is not '100-continue' once; send that, or none.",
	[KF_DETAIL_UPGRADE_TWICE] = "This request has two Upgrade fields; send one.",
	[KF_DETAIL_CONNECTION] =
		"The Connection field of this request is no list of names, or takes away a field "
		"that matters here, or data came before an upgrade was answered; send 'keep-alive' "
		"or 'close', and wait for the answer to an upgrade.",
	[KF_DETAIL_CHUNK_SIZE] = CHUNKED,
	[KF_DETAIL_CHUNK_EXTENSION] = CHUNKED,
	[KF_DETAIL_CHUNK_DATA_END] = CHUNKED,
	[KF_DETAIL_CHUNK_TOO_LARGE] = "A chunk of this request's body is over 2147483647 bytes, or "
				      "its size has more than 8 digits; send smaller chunks.",
	[KF_DETAIL_CHUNK_TRAILER] = CHUNKED,
	[KF_DETAIL_CHUNK_TRAILER_FIELD] =
		"A field behind the chunks of this request belongs into its header; send it there.",
	[KF_DETAIL_CHUNK_TRAILER_SIZE] = "The fields behind the chunks of this request are over 8 "
					 "KiB, or over 100; send fewer.",
	[KF_DETAIL_TOO_MANY_SEGMENTS] =
		"The header of this request came in too many pieces; send it in larger ones.",
	[KF_DETAIL_UPGRADE_SPLIT] = "The Upgrade field of this request came in a piece of its own; "
				    "send the header in one piece, or do not ask for an upgrade.",
	[KF_DETAIL_METHOD] =
		"The method of this request is not served here; use GET, HEAD, POST, PUT, PATCH, "
		"DELETE or OPTIONS, in capitals, or ask the operator to add it to the service.",
	[KF_DETAIL_CONTENT] = "GET, HEAD, DELETE and OPTIONS have no body here, and this request "
			      "has one; send it without, or with POST.",
	[KF_DETAIL_EMPTY_LINES] = "More than one empty line stands before this request; send none.",
	[KF_DETAIL_BODY_EMPTY] = NO_MODEL,
	[KF_DETAIL_BODY_MODEL_MISSING] = NO_MODEL,
	[KF_DETAIL_BODY_ENCODED] = SOME_MODELS
	"the body of this request is compressed; send it without Content-Encoding.",
	[KF_DETAIL_BODY_MEDIA] =
		SOME_MODELS "Content-Type of this request is not 'application/json' in UTF-8; send "
			    "JSON, and that field once.",
	[KF_DETAIL_BODY_TOO_LARGE] =
		SOME_MODELS "the body of this request is over 1 GiB; send a smaller one.",
	[KF_DETAIL_BODY_CHOOSER] =
		SOME_MODELS "the body of this request chooses models or adapters by another member "
			    "beside 'model'; send 'model' alone.",
	[KF_DETAIL_BODY_NOT_OBJECT] = JSON,
	[KF_DETAIL_BODY_SYNTAX] = JSON,
	[KF_DETAIL_BODY_CONTROL] = JSON,
	[KF_DETAIL_BODY_ESCAPE] = JSON,
	[KF_DETAIL_BODY_TRAILING] = JSON,
	[KF_DETAIL_BODY_TRUNCATED] = JSON,
	[KF_DETAIL_BODY_DEPTH] =
		SOME_MODELS "the JSON of this request is nested over 128 deep; send it flatter.",
	[KF_DETAIL_BODY_NAME] =
		SOME_MODELS "the name of a member of this request's JSON object has an escape, or "
			    "is not plain ASCII; send names as they are.",
	[KF_DETAIL_BODY_NAME_CASE] =
		SOME_MODELS "a member of this request's JSON object differs from one that matters "
			    "by capitals; send it in lower case.",
	[KF_DETAIL_BODY_MODEL_TWICE] =
		SOME_MODELS "the JSON of this request has two 'model'; send one.",
	[KF_DETAIL_BODY_MODEL_VALUE] =
		SOME_MODELS "'model' in this request's JSON is empty, over 255 bytes, or no plain "
			    "text; send the name of a model.",
	[KF_DETAIL_BODY_MEMBER_TWICE] = SOME_MODELS
	"a member of this request's JSON object that matters stands there twice; send it once.",
	[KF_DETAIL_BODY_TYPE] =
		SOME_MODELS "a member of this request's JSON object has a value of the wrong type, "
			    "such as a 'model' that is no string; send it as the API has it.",
	[KF_DETAIL_BODY_COUNT] =
		SOME_MODELS "a count in this request's JSON, such as 'max_tokens', is negative, no "
			    "whole number, or too large; send a plain one.",
};

const char *kf_policy_answer_detail(unsigned int detail)
{
	return detail < KF_DETAIL_COUNT ? messages[detail] : NULL;
}
