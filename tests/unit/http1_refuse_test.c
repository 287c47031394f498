// SPDX-License-Identifier: GPL-2.0-only
/*
 * http1.h: what is refused, and under which name. The corpus is what one would send to make two
 * servers disagree: request smuggling (Linhart et al. 2005; Kettle, "HTTP Desync Attacks", 2019,
 * and its successors), HTTP/0.9 fallbacks, field aliases, path normalisation.
 */
#include "http1_run.h"

#define LINE "POST / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define TOP  LINE HOST

struct refused {
	const char *title;
	const char *head;
	size_t len;
	enum kf_detail detail;
};

/* The head is a literal and may hold NUL. */
#define NO(detail_, title_, head_)                                                                 \
	{                                                                                          \
		title_, head_, sizeof(head_) - 1, KF_DETAIL_##detail_                              \
	}

static const struct refused lines[] = {
	NO(BARE_LF, "LF ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
	NO(BARE_LF, "LF ends a line", LINE "Host: a\n\r\n"),
	NO(BARE_LF, "LF ends the head", TOP "\n"),
	NO(BARE_LF, "LF LF", "GET / HTTP/1.1\n\n"),
	NO(BARE_LF, "LF in a name", TOP "a\nb: c\r\n\r\n"),
	NO(BARE_LF, "LF in a value", TOP "a: b\nContent-Length: 5\r\n\r\n"),
	NO(BARE_LF, "LF in a long value",
	   TOP "a: 0123456789012345678901234567890123456789012345678901234567890123456789\nb\r\n"),
	NO(BARE_LF, "LF first", "\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(EMPTY_LINES, "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(BARE_LF, "LF behind an empty line", "\r\n\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(BARE_CR, "CR for an empty line", "\rGET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(BARE_CR, "CR behind an empty line", "\r\n\r\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(REQUEST_LINE, "a space behind an empty line", "\r\n GET / HTTP/1.1\r\n" HOST "\r\n"),
	NO(BARE_CR, "CR ends a line", LINE "Host: a\rb: c\r\n\r\n"),
	NO(BARE_CR, "CR CR LF", LINE "Host: a\r\r\n\r\n"),
	NO(BARE_CR, "CR in the version", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
	NO(BARE_CR, "CR ends the head", TOP "\rx"),
	NO(BARE_CR, "CR in a value", TOP "a: b\rContent-Length: 5\r\n\r\n"),
	NO(CONTROL_BYTE, "NUL in a name", TOP "a\0: b\r\n\r\n"),
	NO(CONTROL_BYTE, "NUL in a value", TOP "a: b\0c\r\n\r\n"),
	NO(CONTROL_BYTE, "NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n"),
	NO(CONTROL_BYTE, "NUL in the method", "G\0T / HTTP/1.1\r\n" HOST "\r\n"),
	NO(CONTROL_BYTE, "VT for a space", TOP "Transfer-Encoding:\vchunked\r\n\r\n"),
	NO(CONTROL_BYTE, "FF in a value", TOP "Transfer-Encoding: chunked\f\r\n\r\n"),
	NO(CONTROL_BYTE, "DEL in a value", TOP "a: \x7f\r\n\r\n"),
	NO(CONTROL_BYTE, "DEL in a target", "GET /\x7f HTTP/1.1\r\n" HOST "\r\n"),
	NO(OBS_FOLD, "a folded value", TOP "a: b\r\n c\r\n\r\n"),
	NO(OBS_FOLD, "a value folded by HTAB", TOP "X:\r\n\tchunked\r\n\r\n"),
	NO(OBS_FOLD, "space before the first field", LINE " Host: a\r\n\r\n"),
	NO(OBS_FOLD, "a line of spaces", TOP "  \r\n\r\n"),
	NO(SPACE_BEFORE_COLON, "space before a colon", TOP "Content-Length : 5\r\n\r\n"),
	NO(SPACE_BEFORE_COLON, "HTAB before a colon", TOP "Transfer-Encoding\t: chunked\r\n\r\n"),
	NO(SPACE_BEFORE_COLON, "space in a name", TOP "Transfer Encoding: chunked\r\n\r\n"),
	NO(FIELD_NAME, "no name", TOP ": b\r\n\r\n"),
	NO(FIELD_NAME, "no colon", TOP "abc\r\n\r\n"),
	NO(FIELD_NAME, "no colon, long", TOP "abcdefghijklmnopqrstuvwxyzabcdefghijkl\r\n\r\n"),
	NO(FIELD_NAME, "obs-text in a name", TOP "Content-Length\xa0: 5\r\n\r\n"),
	NO(FIELD_NAME, "a quote in a name", TOP "\"Content-Length\": 5\r\n\r\n"),
	NO(FIELD_NAME, "a slash in a name", TOP "x/y: 5\r\n\r\n"),
	NO(FIELD_NAME, "a brace far into a name",
	   TOP "abcdefghijklmnopqrstuvwxyzabcdefghijkl{: 5\r\n"),
	NO(FIELD_ALIAS, "content_length", TOP "Content_Length: 5\r\n\r\n"),
	NO(FIELD_ALIAS, "transfer_encoding", TOP "transfer_encoding: chunked\r\n\r\n"),
	NO(FIELD_ALIAS, "content.length", TOP "content.length: 5\r\n\r\n"),
	NO(FIELD_ALIAS, "x_api_key", TOP "x_api_key: k\r\n\r\n"),
	NO(FIELD_ALIAS, "x-api_key", TOP "x-api_key: k\r\n\r\n"),
	NO(FIELD_ALIAS, "api_key", TOP "API_KEY: k\r\n\r\n"),
	NO(FIELD_ALIAS, "x_goog_api_key", TOP "x_goog-api-key: k\r\n\r\n"),
};

static const struct refused request_lines[] = {
	NO(TLS, "a ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	NO(TLS, "its first byte", "\x16"),
	NO(HTTP2_PREFACE, "HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	NO(HTTP2_PREFACE, "no more of it than its line", "PRI * HTTP/2.0\r\n"),
	NO(METHOD, "PRI, but not HTTP/2", "PRI / HTTP/1.1\r\n" HOST "\r\n"),
	NO(METHOD, "PRI, but not yet HTTP/2", "PRI * HTTP/1.1\r\n" HOST "\r\n"),
	NO(METHOD, "TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n"),
	NO(METHOD, "a method of 17 letters", "BASELINE-CONTROLS / HTTP/1.1\r\n" HOST "\r\n"),
	NO(METHOD_CONNECT, "CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
	NO(REQUEST_LINE, "no method", " / HTTP/1.1\r\n" HOST "\r\n"),
	NO(REQUEST_LINE, "a method that is none", "G(T / HTTP/1.1\r\n" HOST "\r\n"),
	NO(REQUEST_LINE, "HTAB for a space", "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(REQUEST_LINE, "a method far off", "ABCDEFGHIJK\"L / HTTP/1.1\r\n" HOST "\r\n"),
	NO(REQUEST_LINE, "obs-text", "\x80"),
	NO(REQUEST_LINE, "a response", "HTTP/1.1 200 OK\r\n\r\n"),
	NO(BARE_CR, "a method alone", "GET\r\n"),
	NO(TARGET, "two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "no target", "GET HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "absolute-form without a path", "GET http://a HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "absolute-form, a query at once", "GET http://a?b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "absolute-form without a host", "GET http:///b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "absolute-form with userinfo", "GET http://b@a/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "absolute-form, another scheme", "GET httpx://a/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "a file", "GET file:///a HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "what only looks like a scheme", "GET http:\x0f/a/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "authority-form", "GET b:80 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "asterisk-form for GET", "GET * HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "more than an asterisk", "OPTIONS *x HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "a fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "a fragment in the query", "GET /a?#b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "a backslash", "GET /v1\\messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "obs-text in the path", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "obs-text in the query", "GET /?\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "HTAB behind the target", "GET /\tHTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "a known path in other letters", "GET /V1/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "and further", "GET /v1/messageS HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "and Gemini", "GET /v1Beta/models HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "behind a prefix", "GET /a/v1/Messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET, "and Gemini's alpha", "GET /a/v1Alpha/models HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_EMPTY_SEGMENT, "a parameter at once", "GET /v1/;a/messages HTTP/1.1\r\n" HOST),
	NO(TARGET_EMPTY_SEGMENT, "an encoded slash at once",
	   "GET /v1/%2Fmessages HTTP/1.1\r\n" HOST),
	NO(TARGET_EMPTY_SEGMENT, "an empty segment", "GET //v1/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_EMPTY_SEGMENT, "and in between", "GET /v1//messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_EMPTY_SEGMENT, "and at the end", "GET /v1/a// HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "a dot", "GET /v1/./messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "a dot at the end", "GET /v1/. HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "two dots", "GET /x/../v1/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "two dots at the end", "GET /v1/messages/.. HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "dots before a query", "GET /v1/.?a HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "dots before a parameter", "GET /v1/..;a/b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "dots before an escape", "GET /v1/a/.%2e/b HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_SEGMENT, "dots behind an encoded slash", "GET /v1/a/b%2f../c HTTP/1.1\r\n" HOST),
	NO(TARGET_EMPTY_SEGMENT, "a slash behind one", "GET /v1/a/b%2F/c HTTP/1.1\r\n" HOST),
	NO(TARGET_ENCODING, "an encoded letter", "GET /v1/models/%61 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "encoded dots", "GET /v1/models/%2e%2e/x HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "an encoded NUL", "GET /v1/models/%00 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "an encoded LF", "GET /v1/models/%0a HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "an encoded backslash", "GET /v1/models/%5c HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "encoded twice", "GET /v1/models/%252f HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "half an escape", "GET /v1/models/%2 HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "half of one, and a letter",
	   "GET /v1/models/%2g HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "IIS's own", "GET /v1%u002fmessages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "IIS's own, twice", "GET /v1%25u002fmessages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "behind a prefix", "GET /a/v1%2Fmessages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "before the version", "GET /a%2Fv1/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "in other letters", "GET /a%2fV1/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "behind Gemini's", "GET /V1beta%2Fmodels HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "and its alpha", "GET /a/v1alpha;x/models HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "an early slash", "GET /v1%2fmessages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "in the second", "GET /v1/messages%2Fx HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "a parameter", "GET /v1;a/messages HTTP/1.1\r\n" HOST "\r\n"),
	NO(TARGET_ENCODING, "in the second, too", "GET /v1/messages;a=b HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "an encoded name", "GET /?%6bey=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "and its end", "GET /?a=b&ke%79=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a NUL behind it", "GET /?key%00=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a space before it", "GET /?%20key=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a plus before it", "GET /?+key=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a plus behind it", "GET /?key+=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "no escape before it", "GET /?%zzkey=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "half an escape in it", "GET /?k%ey=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "an encoded letter behind a semicolon",
	   "GET /?a;%6bey=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a semicolon", "GET /?a=b;key=k HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a semicolon behind it", "GET /?key;a=b HTTP/1.1\r\n" HOST "\r\n"),
	NO(QUERY, "a semicolon in a key", "GET /?key=a;b=c HTTP/1.1\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/0.9 by name", "GET / HTTP/0.9\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/01.1", "GET / HTTP/01.1\r\n" HOST "\r\n"),
	NO(VERSION, "HTTP/1", "GET / HTTP/1\r\n" HOST "\r\n"),
	NO(VERSION, "letters", "GET / http/1.1\r\n" HOST "\r\n"),
	NO(VERSION, "another protocol", "GET / ICAP/1.0\r\n" HOST "\r\n"),
	NO(VERSION, "a space behind it", "GET / HTTP/1.1 \r\n" HOST "\r\n"),
	NO(VERSION, "a space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n"),
	NO(VERSION, "a space, then the end", "GET / \n"),
	NO(BARE_CR, "HTTP/0.9", "GET /\r\n"),
	NO(BARE_LF, "HTTP/0.9 and LF", "GET /\n"),
	NO(BARE_LF, "and a query", "GET /?\n"),
	NO(BARE_LF, "and half a key", "GET /?ke\n"),
	NO(BARE_LF, "and half an escape", "GET /v1/a/%\n"),
	NO(TARGET_ENCODING, "and half of one", "GET /v1/a/%2\n"),
};

static const struct refused fields[] = {
	NO(HOST_MISSING, "no Host", LINE "\r\n"),
	NO(HOST_MISSING, "no Host in 1.0", "GET / HTTP/1.0\r\nx-host: a\r\n\r\n"),
	NO(HOST_TWICE, "two", LINE HOST "Host: b\r\n\r\n"),
	NO(HOST_TWICE, "two alike", LINE HOST HOST "\r\n"),
	NO(HOST_DISAGREES, "not the target's", "GET http://b/ HTTP/1.1\r\n" HOST "\r\n"),
	NO(HOST_DISAGREES, "longer", "GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
	NO(HOST_DISAGREES, "another port",
	   "GET http://model.example:80/ HTTP/1.1\r\n"
	   "Host: model.example:81\r\n\r\n"),
	NO(HOST_MISSING, "the target's only", "GET http://a/ HTTP/1.1\r\n\r\n"),
	NO(HOST, "empty", LINE "Host: \r\n\r\n"),
	NO(HOST, "a list", LINE "Host: a, b\r\n\r\n"),
	NO(HOST, "two in one", LINE "Host: a b\r\n\r\n"),
	NO(HOST, "userinfo", LINE "Host: a@b\r\n\r\n"),
	NO(HOST, "a path", LINE "Host: a/b\r\n\r\n"),
	NO(HOST, "an escape", LINE "Host: a%2fb\r\n\r\n"),
	NO(HOST, "obs-text", LINE "Host: a\x80\r\n\r\n"),
	NO(KEY_TWICE, "two Authorization",
	   TOP "Authorization: Bearer a\r\nauthorization: Bearer a\r\n"),
	NO(KEY_TWICE, "two, and one is empty", TOP "Authorization:\r\nauthorization: Bearer a\r\n"),
	NO(KEY_TWICE, "two schemes", TOP "Authorization: Basic a\r\nauthorization: Bearer a\r\n"),
	NO(KEY_TWICE, "two x-api-key", TOP "x-api-key: a\r\nX-Api-Key: a\r\n"),
	NO(KEY_TWICE, "two api-key", TOP "api-key: a\r\nx: y\r\nAPI-KEY: a\r\n"),
	NO(KEY_TWICE, "two x-goog-api-key", TOP "x-goog-api-key: a\r\nX-goog-Api-Key: a\r\n"),
	NO(KEY_TWICE, "two parameters", "GET /?key=a&key=a HTTP/1.1\r\n"),
	NO(KEY_TWICE, "two, and one has no value", "GET /?key&key=a HTTP/1.1\r\n"),
	NO(KEY_TWICE, "two subprotocols",
	   TOP "Sec-WebSocket-Protocol: openai-insecure-api-key.a, openai-insecure-api-key.a\r\n"),
	NO(KEY_TWICE, "two subprotocols on two lines",
	   TOP "Sec-WebSocket-Protocol: openai-insecure-api-key.a\r\n"
	       "sec-websocket-protocol: openai-insecure-api-key.b\r\n"),
	NO(KEYS_DISAGREE, "a subprotocol and a field",
	   TOP "Sec-WebSocket-Protocol: b, openai-insecure-api-key.a\r\nx-api-key: b\r\n"),
	NO(KEY_BYTES, "no token", TOP "Sec-WebSocket-Protocol: openai-insecure-api-key.a/b\r\n"),
	NO(FIELD_ALIAS, "an alias", TOP "Sec_WebSocket_Protocol: a\r\n"),
	NO(KEYS_DISAGREE, "another key", TOP "x-api-key: a\r\nAuthorization: Bearer b\r\n"),
	NO(KEYS_DISAGREE, "a shorter key", TOP "x-api-key: ab\r\nAuthorization: Bearer a\r\n"),
	NO(KEYS_DISAGREE, "a longer key", TOP "x-api-key: a\r\nAuthorization: Bearer ab\r\n"),
	NO(KEYS_DISAGREE, "at the 9th byte", TOP "x-api-key: 12345678a\r\napi-key: 12345678b\r\n"),
	NO(KEYS_DISAGREE, "at the 8th byte", TOP "x-api-key: 1234567a9\r\napi-key: 1234567b9\r\n"),
	NO(KEYS_DISAGREE, "query and field",
	   "GET /?key=a HTTP/1.1\r\n" HOST "x-goog-api-key: b\r\n"),
	NO(KEYS_DISAGREE, "one encoded", "GET /?key=%61 HTTP/1.1\r\n" HOST "x-goog-api-key: a\r\n"),
	NO(KEY_BYTES, "a space in a key", TOP "x-api-key: a b\r\n\r\n"),
	NO(KEY_BYTES, "HTAB in a key", TOP "Authorization: Bearer a\tb\r\n\r\n"),
	NO(KEY_BYTES, "HTAB before a key", TOP "Authorization: Bearer \ta\r\n\r\n"),
	NO(KEY_BYTES, "HTAB behind the scheme", TOP "Authorization: Bearer\ta\r\n\r\n"),
	NO(KEY_BYTES, "obs-text in a key", TOP "x-api-key: a\xff\r\n\r\n"),
	NO(KEY_BYTES, "a list of credentials", TOP "Authorization: Bearer a, Bearer b\r\n\r\n"),
	NO(KEY_BYTES, "far into a key",
	   TOP
	   "x-api-key: 0123456789012345678901234567890123456789012345678901234567890123456 9\r\n"),
	NO(LENGTH_TWICE, "two lengths", TOP "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
	NO(LENGTH_TWICE, "two alike", TOP "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "none", TOP "Content-Length:\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "only space", TOP "Content-Length: \t\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a list", TOP "Content-Length: 5, 5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a list, tight", TOP "Content-Length: 5,5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a plus", TOP "Content-Length: +5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a minus", TOP "Content-Length: -5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "hexadecimal", TOP "Content-Length: 0x5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a separator", TOP "Content-Length: 1_000\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a space", TOP "Content-Length: 1 0\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "a point", TOP "Content-Length: 5.0\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "other digits", TOP "Content-Length: \xd9\xa5\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "the 9th from the end", TOP "Content-Length: a12345678\r\n\r\n"),
	NO(LENGTH_NOT_DIGITS, "the 10th", TOP "Content-Length: a123456781\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "one more", TOP "Content-Length: 2147483648\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "32 bits of it are 5", TOP "Content-Length: 4294967301\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "53 bits", TOP "Content-Length: 9007199254740993\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "63 bits", TOP "Content-Length: 9223372036854775808\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "64 bits", TOP "Content-Length: 18446744073709551621\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "24 digits", TOP "Content-Length: 999999999999999999999999\r\n\r\n"),
	NO(LENGTH_OVERFLOW, "zeros", TOP "Content-Length: 00000000005\r\n\r\n"),
	NO(LENGTH_AND_ENCODING, "CL.TE",
	   TOP "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO(LENGTH_AND_ENCODING, "TE.CL",
	   TOP "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
	NO(TRANSFER_ENCODING, "none", TOP "Transfer-Encoding:\r\n\r\n"),
	NO(TRANSFER_ENCODING, "identity", TOP "Transfer-Encoding: identity\r\n\r\n"),
	NO(TRANSFER_ENCODING, "xchunked", TOP "Transfer-Encoding: xchunked\r\n\r\n"),
	NO(TRANSFER_ENCODING, "chunkedx", TOP "Transfer-Encoding: chunkedx\r\n\r\n"),
	NO(TRANSFER_ENCODING, "a list", TOP "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	NO(TRANSFER_ENCODING, "an empty item", TOP "Transfer-Encoding: chunked,\r\n\r\n"),
	NO(TRANSFER_ENCODING, "a parameter", TOP "Transfer-Encoding: chunked;a=b\r\n\r\n"),
	NO(TRANSFER_ENCODING, "quoted", TOP "Transfer-Encoding: \"chunked\"\r\n\r\n"),
	NO(TRANSFER_ENCODING, "a Kelvin sign",
	   TOP "Transfer-Encoding: chun\xe2\x84\xaa"
	       "ed\r\n\r\n"),
	NO(TRANSFER_ENCODING, "HTTP/1.0",
	   "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n"),
	NO(ENCODING_TWICE, "two",
	   TOP "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
	NO(TRANSFER_ENCODING, "two, one odd",
	   TOP "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n"),
	NO(CONTENT, "GET", "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"),
	NO(CONTENT, "HEAD", "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"),
	NO(CONTENT, "OPTIONS", "OPTIONS * HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"),
	NO(CONTENT, "DELETE", "DELETE / HTTP/1.1\r\nContent-Length: 5\r\n" HOST "\r\n"),
	NO(CONTENT, "GET, chunked", "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
	NO(EXPECT, "something else", TOP "Expect: 200-ok\r\n\r\n"),
	NO(EXPECT, "more", TOP "Expect: 100-continue, x\r\n\r\n"),
	NO(EXPECT, "none", TOP "Expect:\r\n\r\n"),
	NO(EXPECT, "two", TOP "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
	NO(UPGRADE_TWICE, "two", TOP "Upgrade: h2c\r\nUpgrade: websocket\r\n\r\n"),
	NO(CONNECTION, "names the length", TOP "Connection: close, Content-Length\r\n\r\n"),
	NO(CONNECTION, "names the key", TOP "Connection: authorization\r\n\r\n"),
	NO(CONNECTION, "names Host", TOP "Connection: Host\r\n\r\n"),
	NO(CONNECTION, "by an alias", TOP "Connection: x_api_key\r\n\r\n"),
	NO(CONNECTION, "no token", TOP "Connection: close; x\r\n\r\n"),
	NO(CONNECTION, "obs-text", TOP "Connection: close\x80\r\n\r\n"),
};

static void check(const struct refused *table, size_t count)
{
	enum kf_http1_result result;
	struct kf_http1 h;

	for (size_t i = 0; i < count; i++) {
		result = http1_run(&h, KF_KEY_ANY, table[i].head, table[i].len);
		if (result != KF_HTTP1_MALFORMED || h.detail != table[i].detail)
			fail_msg("%s: %d %s, not %s", table[i].title, result,
				 kf_detail_name(h.detail), kf_detail_name(table[i].detail));
	}
}

static void refuses_lines(void **state)
{
	check(lines, sizeof(lines) / sizeof(lines[0]));
}

static void refuses_request_lines(void **state)
{
	check(request_lines, sizeof(request_lines) / sizeof(request_lines[0]));
}

static void refuses_fields(void **state)
{
	check(fields, sizeof(fields) / sizeof(fields[0]));
}

/* Replaces the byte at the '@' of @head by each value; @good says which are right there. */
static void every_byte(const char *head, _Bool (*good)(int byte))
{
	size_t at = strcspn(head, "@"), len = strlen(head);
	enum kf_http1_result result;
	char copy[256];
	struct kf_http1 h;

	memcpy(copy, head, len);
	for (int byte = 0; byte < 256; byte++) {
		copy[at] = (char)byte;
		result = http1_run(&h, KF_KEY_ANY, copy, len);
		if ((result == KF_HTTP1_REQUEST) != good(byte) ||
		    (result != KF_HTTP1_REQUEST && result != KF_HTTP1_MALFORMED))
			fail_msg("byte %02x in %s: %d %s", byte, head, result,
				 kf_detail_name(h.detail));
	}
}

static _Bool is_alnum(int byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
	       (byte >= 'A' && byte <= 'Z');
}

static _Bool is_token(int byte)
{
	return is_alnum(byte) || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static _Bool is_value(int byte)
{
	return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

static _Bool is_name(int byte)
{
	return is_token(byte) || byte == ':';
}

/* '?' begins a query of "b", or of "g"; '%' stands for itself before a 'g'. */
static _Bool is_path(int byte)
{
	return is_alnum(byte) || (byte && strchr("-._~!$&'()*+,;=:@/?{}|^[]\"<>`%", byte));
}

/* In a name that could not become `key`. */
static _Bool is_query(int byte)
{
	return is_alnum(byte) || (byte && strchr("-._~!$&'()*+,;=:@/?{}|^[]\"<>`%\\", byte));
}

static _Bool is_host(int byte)
{
	return is_alnum(byte) || (byte && strchr("-._:[] \t", byte));
}

static _Bool is_key(int byte)
{
	return byte > 0x20 && byte < 0x7f;
}

static _Bool is_digit(int byte)
{
	return byte >= '0' && byte <= '9';
}

static _Bool is_version(int byte)
{
	return byte == '0' || byte == '1';
}

static _Bool is_cr(int byte)
{
	return byte == '\r';
}

static _Bool is_lf(int byte)
{
	return byte == '\n';
}

static _Bool is_space(int byte)
{
	return byte == ' ';
}

static void tries_every_byte(void **state)
{
	every_byte("@ET / HTTP/1.1\r\nHost: a\r\n\r\n", is_token);
	every_byte("METHOD-@-X / HTTP/1.1\r\nHost: a\r\n\r\n", is_token);
	every_byte("GET@/ HTTP/1.1\r\nHost: a\r\n\r\n", is_space);
	every_byte("GET /v1/x/a@g HTTP/1.1\r\nHost: a\r\n\r\n", is_path);
	every_byte("GET /v1/abcdef/abcdefghi@g HTTP/1.1\r\nHost: a\r\n\r\n", is_path);
	every_byte("GET /v1/x?a@b HTTP/1.1\r\nHost: a\r\n\r\n", is_query);
	every_byte("GET /v1/x@HTTP/1.1\r\nHost: a\r\n\r\n", is_space);
	every_byte("GET /v1/x HTTP/1.@\r\nHost: a\r\n\r\n", is_version);
	every_byte("GET / HTTP/1.1@\nHost: a\r\n\r\n", is_cr);
	every_byte("GET / HTTP/1.1\r@Host: a\r\n\r\n", is_lf);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\na@b: c\r\n\r\n", is_name);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\nabcdefghijklmnopqrstuvwxyzabcdefghij@b: c\r\n\r\n",
		   is_name);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\na:@\r\n\r\n", is_value);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\na: bcdefghij@\r\n\r\n", is_value);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\na: b@\nc: d\r\n\r\n", is_cr);
	every_byte("GET / HTTP/1.1\r\nHost: a\r@\r\n", is_lf);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\n@\n", is_cr);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\n\r@", is_lf);
	every_byte("GET / HTTP/1.1\r\nHost: a@\r\n\r\n", is_host);
	every_byte("GET / HTTP/1.1\r\nHost: a\r\napi-key: a@b\r\n\r\n", is_key);
	every_byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1@2\r\n\r\n", is_digit);
	every_byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1@34567890\r\n\r\n", is_digit);
}

/* Bytes that can begin no request are refused when they come, not when their line ends. */
static void refuses_at_once(void **state)
{
	__u8 *buf = http1_buffer();
	struct kf_http1 h;

	for (int byte = 0; byte < 256; byte++) {
		http1_noise(buf, 1, (unsigned int)byte);
		buf[0] = (__u8)byte;
		kf_http1_begin(&h, KF_KEY_ANY);
		assert_int_equal(kf_http1_parse(&h, buf, 1), is_token(byte) || byte == '\r'
								     ? KF_HTTP1_INCOMPLETE
								     : KF_HTTP1_MALFORMED);
	}
}

static void names_each_detail(void **state)
{
	for (unsigned int i = 0; i < KF_DETAIL_COUNT; i++)
		for (unsigned int k = 0; k < i; k++)
			assert_string_not_equal(kf_detail_name(i), kf_detail_name(k));
	assert_string_equal(kf_detail_name(KF_DETAIL_COUNT), "unknown");
	assert_string_equal(kf_detail_name(KF_DETAIL_BARE_LF), "bare_lf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_lines),   cmocka_unit_test(refuses_request_lines),
		cmocka_unit_test(refuses_fields),  cmocka_unit_test(tries_every_byte),
		cmocka_unit_test(refuses_at_once), cmocka_unit_test(names_each_detail),
	};

	return cmocka_run_group_tests_name("http1_refuse", tests, NULL, NULL);
}
