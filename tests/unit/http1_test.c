// SPDX-License-Identifier: GPL-2.0-only
/* http1.h: what is accepted, and what the result says of it. Refusals: http1_refuse_test.c. */
#include "http1_run.h"

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n"
#define KEY  "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh"

struct expected {
	const char *title;
	const char *head;
	const char *key;    /* NULL: none */
	const char *target; /* NULL: not looked at */
	__u64 length;
	__u32 sources; /* 0: any */
	__u8 method, protocol, http_1_0, key_source, has_length, chunked, expect, upgrade;
	__u8 close, keep_alive, connection_upgrade, encoded, method_off;
};

/* A case; what is not named is 0. The second is for those whose method is GET. */
#define ANY(title_, head_, ...)                                                                    \
	{                                                                                          \
		.title = title_, .head = head_, ##__VA_ARGS__                                      \
	}
#define GET(title_, head_, ...) ANY(title_, head_, .method = KF_METHOD_GET, ##__VA_ARGS__)
#define PATH(title_, path_, ...)                                                                   \
	ANY(title_, "POST " path_ " HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_POST,           \
	    ##__VA_ARGS__)
#define GEMINI(title_, path_) PATH(title_, path_, .protocol = KF_PROTOCOL_GEMINI)

static const struct expected accepted[] = {
	GET("the least", LINE HOST "\r\n", .target = "/"),
	GET("1.0", "GET / HTTP/1.0\r\n" HOST "\r\n", .http_1_0 = 1),
	ANY("HEAD", "HEAD / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_HEAD),
	ANY("POST", "POST / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_POST),
	ANY("PUT", "PUT / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_PUT),
	ANY("DELETE", "DELETE / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_DELETE),
	ANY("OPTIONS", "OPTIONS / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_OPTIONS),
	ANY("OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_OPTIONS,
	    .target = "*"),
	ANY("PATCH", "PATCH / HTTP/1.1\r\n" HOST "\r\n", .method = KF_METHOD_PATCH),
	ANY("methods have a case", "get / HTTP/1.1\r\n" HOST "\r\n"),
	GET("an empty line first", "\r\n" LINE HOST "\r\n", .target = "/", .method_off = 2),
	GET("an empty line and a key", "\r\nGET /a?key=k HTTP/1.1\r\n" HOST "\r\n",
	    .target = "/a?key=k", .key_source = KF_KEY_QUERY, .key = "k", .method_off = 2),
	GET("an empty line and an upgrade", "\r\n" LINE HOST "Upgrade: h2c\r\n\r\n",
	    .upgrade = KF_UPGRADE_H2C, .method_off = 2),
	ANY("a method's beginning", "GETS / HTTP/1.1\r\n" HOST "\r\n"),
	ANY("a long method", "BASELINE-CONTROL / HTTP/1.1\r\n" HOST "\r\n"),
	ANY("an odd method", "M!#$%&'*+.^_`|~9 / HTTP/1.1\r\n" HOST "\r\n"),
	ANY("a method of 7 letters", "CONNECS / HTTP/1.1\r\n" HOST "\r\n"),
	ANY("a method of 8 letters", "CONNECTT / HTTP/1.1\r\n" HOST "\r\n"),
	ANY("OpenAI", "POST /v1/chat/completions HTTP/1.1\r\n" HOST "\r\n",
	    .method = KF_METHOD_POST, .target = "/v1/chat/completions"),
	GET("Anthropic", "GET /v1/messages HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("Anthropic, below", "GET /v1/messages/count_tokens HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("Anthropic, slash", "GET /v1/messages/ HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("Anthropic, query", "GET /v1/messages?beta=true HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC, .target = "/v1/messages?beta=true"),
	GET("not quite Anthropic", "GET /v1/messagesx HTTP/1.1\r\n" HOST "\r\n"),
	GET("nearly Anthropic", "GET /v1/message HTTP/1.1\r\n" HOST "\r\n"),
	GET("Anthropic in a query", "GET /?/v1/messages HTTP/1.1\r\n" HOST "\r\n"),
	GET("Gemini", "GET /v1beta/models/g-2.5:generateContent HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_GEMINI),
	GET("Gemini, alpha", "GET /v1alpha/models HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_GEMINI),
	GEMINI("Gemini, v1", "/v1/models/g-2.5:generateContent"),
	GEMINI("Gemini, v1, a stream", "/v1/models/g-2.5:streamGenerateContent?alt=sse"),
	GEMINI("Gemini, Vertex",
	       "/v1beta1/projects/p/locations/l/publishers/google/models/g:countTokens"),
	GEMINI("Gemini, an encoded colon", "/v1/models/g%3AgenerateContent"),
	GEMINI("Gemini, an encoded colon in lower case", "/v1/models/g%3agenerateContent?alt=sse"),
	GEMINI("Gemini, a slash at the end", "/v1/models/g:generateContent/"),
	GEMINI("Gemini, a slash and a query", "/v1/models/g:generateContent/?alt=sse"),
	GEMINI("Gemini, an encoded slash", "/v1/models/g:generateContent%2F"),
	GEMINI("Gemini, parameters", "/v1/models/g:generateContent;x=y"),
	GEMINI("Gemini, a blank", "/v1/models/g:generateContent%20"),
	GEMINI("Gemini, another colon", "/v1/models/g:generateContent:"),
	GEMINI("Gemini, another case", "/v1/models/g:GenerateContent"),
	GEMINI("Gemini, another method", "/v1/models/g:batchGenerateContent"),
	GEMINI("Gemini, a method of any name", "/v1/models/g:predict"),
	GEMINI("Gemini, no name", "/v1/models/g:"),
	GEMINI("Gemini, an encoded slash before", "/v1/models%2Fg:generateContent"),
	GEMINI("Gemini, other cases before", "/V1/Models/g:generateContent"),
	GEMINI("Gemini, a model of three parts", "/v1/models/a/b/c:generateContent"),
	GEMINI("Gemini, without a version", "/models/g:generateContent"),
	GEMINI("Gemini, behind a prefix", "/a/gateway/v1/models/g%3AgenerateContent"),
	GEMINI("Gemini, a colon in the prefix too", "/a:b/v1/models/g:generateContent"),
	PATH("OpenAI, a colon before the last segment",
	     "/openai/deployments/qwen:7b/chat/completions"),
	PATH("OpenAI, an encoded one",
	     "/v1/fine_tuning/checkpoints/ft%3Agpt-4o-mini%3Aorg/permissions"),
	PATH("OpenAI, far before the last segment",
	     "/v1/engines/ft:0123456789/0123456789/0123456789/completions"),
	PATH("OpenAI, a colon in the query", "/v1/completions?model=a:b"),
	GET("OpenAI, a model that is told",
	    "GET /v1/models/ft%3Agpt-4:org HTTP/1.1\r\n" HOST "\r\n"),
	GET("Gemini behind a prefix", "GET /a/gemini/v1beta/models/g HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_GEMINI),
	GET("a model with a colon", "GET /v1/models/ft:gpt-4:org HTTP/1.1\r\n" HOST "\r\n"),
	GET("Anthropic behind a prefix", "GET /anthropic/v1/messages HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("behind a longer one, and below",
	    "GET /gateway/of/mine-123456/v1/messages/batches HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("OpenAI behind a prefix", "GET /openai/v1/messagesx/v1beta/x HTTP/1.1\r\n" HOST "\r\n"),
	GET("the first version decides", "GET /v1/x/v1/messages HTTP/1.1\r\n" HOST "\r\n"),
	GET("not quite Gemini", "GET /v1beta1/models HTTP/1.1\r\n" HOST "\r\n"),
	GET("Gemini without a slash", "GET /v1beta HTTP/1.1\r\n" HOST "\r\n"),
	GET("an encoded model", "GET /v1/models/meta%2FLlama%20x HTTP/1.1\r\n" HOST "\r\n"),
	GET("an encoded slash at once", "GET /models/meta%2FLlama HTTP/1.1\r\n" HOST "\r\n"),
	GET("in the first segment", "GET /meta%2fLlama?a HTTP/1.1\r\n" HOST "\r\n"),
	GET("before a version", "GET /a%2Fb/v1/messages HTTP/1.1\r\n" HOST "\r\n",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("encoded marks", "GET /v1/models/a%2Db%5Fc%7E%24%C3%A9 HTTP/1.1\r\n" HOST "\r\n"),
	GET("a percent sign, encoded", "GET /v1/models/100%25/x%25 HTTP/1.1\r\n" HOST "\r\n"),
	GET("percent signs, not encoded",
	    "GET /50%/%zz/a%-b?q=100%&a%zz=% HTTP/1.1\r\n" HOST "\r\n"),
	GET("dots in names", "GET /v1/files/.a/b.c/d./-..x HTTP/1.1\r\n" HOST "\r\n"),
	GET("dot-files", "GET /.well-known/.env/..data/.../.~x HTTP/1.1\r\n" HOST "\r\n"),
	GET("a dot-file alone", "GET /.env HTTP/1.1\r\n" HOST "\r\n", .target = "/.env"),
	GET("all of a path", "GET /a/b/~_!$&'()*+,;=:@{}|^[]\"<>` HTTP/1.1\r\n" HOST "\r\n"),
	GET("all of a query",
	    "GET /?a[]=//../?!$'()*,:@~_%20%00+{}|^[]\"<>`\\ HTTP/1.1\r\n" HOST "\r\n"),
	GET("a plus in a name", "GET /?a+b=c&d+=e&ke+y=f HTTP/1.1\r\n" HOST "\r\n"),
	GET("names that are encoded", "GET /?na%6De=x&b%65x=y&%4Bey=z HTTP/1.1\r\n" HOST "\r\n"),
	GET("a semicolon", "GET /?a=b;c=d;keys=e HTTP/1.1\r\n" HOST "\r\n"),
	GET("absolute-form", "GET http://a/v1/messages?key=k HTTP/1.1\r\n" HOST "\r\n",
	    .target = "/v1/messages?key=k", .key_source = KF_KEY_QUERY, .key = "k",
	    .protocol = KF_PROTOCOL_ANTHROPIC),
	GET("absolute-form, https",
	    "GET HTTPS://Model.Example:8443/ HTTP/1.1\r\n"
	    "Host: model.example:8443\r\n\r\n",
	    .target = "/"),
	GET("absolute-form, a long name",
	    "GET http://abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:80/ HTTP/1.1\r\n"
	    "Host: abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz:80\r\n\r\n",
	    .target = "/"),
	GET("empty parameters", "GET /?&&=&a HTTP/1.1\r\n" HOST "\r\n"),
	GET("a long path",
	    "GET "
	    "/v1/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz/"
	    "abcdefghijklmnopqrstuvwxyz/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz "
	    "HTTP/1.1\r\n" HOST "\r\n"),
	GET("bearer", LINE HOST "Authorization: Bearer " KEY "\r\n\r\n",
	    .key_source = KF_KEY_BEARER, .key = KEY),
	GET("bearer in other letters", LINE HOST "AUTHORIZATION:bEARER   abc \t\r\n\r\n",
	    .key_source = KF_KEY_BEARER, .key = "abc"),
	GET("a long key", LINE HOST "authorization: bearer " KEY KEY KEY KEY "\r\n\r\n",
	    .key_source = KF_KEY_BEARER, .key = KEY KEY KEY KEY),
	GET("another scheme", LINE HOST "Authorization: Basic a b c\r\n\r\n"),
	GET("a longer scheme", LINE HOST "Authorization: BearerX abc\r\n\r\n"),
	GET("only a scheme", LINE HOST "Authorization: Bearer\r\n\r\n"),
	GET("a scheme and space", LINE HOST "Authorization: Bearer  \t\r\n\r\n"),
	GET("an empty Authorization", LINE HOST "Authorization:\r\n\r\n"),
	GET("x-api-key", LINE "x-api-key: " KEY "\r\n" HOST "\r\n", .key_source = KF_KEY_X_API_KEY,
	    .key = KEY),
	GET("api-key", LINE "Api-Key: \t k \t \r\n" HOST "\r\n", .key_source = KF_KEY_API_KEY,
	    .key = "k"),
	GET("x-goog-api-key", LINE "X-Goog-Api-Key:k\r\n" HOST "\r\n", .key_source = KF_KEY_X_GOOG,
	    .key = "k"),
	GET("an empty x-api-key", LINE "x-api-key: \r\n" HOST "\r\n"),
	GET("query", "GET /a?key=" KEY " HTTP/1.1\r\n" HOST "\r\n", .key_source = KF_KEY_QUERY,
	    .key = KEY, .target = "/a?key=" KEY),
	GET("query, second", "GET /a?alt=sse&key=k&b=c HTTP/1.1\r\n" HOST "\r\n",
	    .key_source = KF_KEY_QUERY, .key = "k"),
	GET("query, any bytes", "GET /a?key=a=b/c?%41 HTTP/1.1\r\n" HOST "\r\n",
	    .key_source = KF_KEY_QUERY, .key = "a=b/c?%41"),
	GET("query, empty", "GET /a?key=&x HTTP/1.1\r\n" HOST "\r\n"),
	GET("query, no value", "GET /a?key HTTP/1.1\r\n" HOST "\r\n"),
	GET("query, other names", "GET /a?keys=k&akey=k&Key=k&ke=y&k HTTP/1.1\r\n" HOST "\r\n"),
	GET("query, other names encoded", "GET /a?include%5B%5D=key%3Dk HTTP/1.1\r\n" HOST "\r\n"),
	GET("a subprotocol",
	    LINE HOST "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key." KEY
		      ", openai-beta.realtime-v1\r\n\r\n",
	    .key_source = KF_KEY_WEBSOCKET, .key = KEY),
	GET("a subprotocol, last and tight",
	    LINE HOST "sec-websocket-protocol:realtime,openai-insecure-api-key.k\r\n\r\n",
	    .key_source = KF_KEY_WEBSOCKET, .key = "k"),
	GET("subprotocols on two lines",
	    LINE HOST "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: \t"
		      "openai-insecure-api-key.k , b\r\nSec-WebSocket-Protocol: c\r\n\r\n",
	    .key_source = KF_KEY_WEBSOCKET, .key = "k"),
	GET("a subprotocol without a key", LINE HOST
	    "Sec-WebSocket-Protocol: openai-insecure-api-key., xopenai-insecure-api-key.k, "
	    "Openai-insecure-api-key.k,openai-insecure-api-ke\r\n\r\n"),
	GET("a subprotocol agrees",
	    LINE HOST "x-api-key: k\r\nSec-WebSocket-Protocol: openai-insecure-api-key.k\r\n\r\n",
	    .key_source = KF_KEY_X_API_KEY, .key = "k"),
	GET("a subprotocol not asked for",
	    LINE HOST "Sec-WebSocket-Protocol: openai-insecure-api-key.k (\r\n\r\n",
	    .sources = KF_KEY_BEARER),
	GET("key= in the path", "GET /key=k/&key=k HTTP/1.1\r\n" HOST "\r\n"),
	GET("two sources agree",
	    LINE HOST "x-api-key: " KEY "\r\nAuthorization: Bearer " KEY "\r\n\r\n",
	    .key_source = KF_KEY_X_API_KEY, .key = KEY),
	GET("all sources agree",
	    "GET /?key=kk HTTP/1.1\r\n" HOST
	    "x-api-key: kk\r\napi-key: kk\r\nx-goog-api-key: kk\r\n"
	    "Authorization: Bearer kk\r\n\r\n",
	    .key_source = KF_KEY_QUERY, .key = "kk"),
	GET("a source not asked for", LINE HOST "x-api-key: a b\r\nAuthorization: Bearer c\r\n\r\n",
	    .key_source = KF_KEY_BEARER, .key = "c", .sources = KF_KEY_BEARER),
	GET("none asked for",
	    "GET /?key=a&%6bey=b;key=c HTTP/1.1\r\n" HOST
	    "x-api-key: b\r\napi-key: c\r\nAuthorization: Bearer a b\r\n\r\n",
	    .sources = 0x80000000),
	ANY("a length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1234567890\r\n\r\n",
	    .method = KF_METHOD_POST, .has_length = 1, .length = 1234567890),
	GET("a length of 0", LINE HOST "content-length:0\r\n\r\n", .has_length = 1),
	ANY("8 digits", POST HOST "content-length: 12345678\r\n\r\n", .method = KF_METHOD_POST,
	    .has_length = 1, .length = 12345678),
	ANY("9 digits", POST HOST "content-length: 123456789 \r\n\r\n", .method = KF_METHOD_POST,
	    .has_length = 1, .length = 123456789),
	ANY("the greatest length", POST HOST "Content-Length: 2147483647\r\n\r\n",
	    .method = KF_METHOD_POST, .has_length = 1, .length = 0x7fffffff),
	ANY("leading zeros", POST HOST "Content-Length: 0000000042\r\n\r\n",
	    .method = KF_METHOD_POST, .has_length = 1, .length = 42),
	ANY("chunked", POST HOST "Transfer-Encoding: \tChunked\t \r\n\r\n",
	    .method = KF_METHOD_POST, .chunked = 1),
	ANY("content with PUT", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
	    .method = KF_METHOD_PUT, .has_length = 1, .length = 5),
	ANY("content with PATCH", "PATCH / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
	    .method = KF_METHOD_PATCH, .has_length = 1, .length = 5),
	ANY("content with another", "QUERY / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
	    .has_length = 1, .length = 5),
	ANY("no content with DELETE", "DELETE / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
	    .method = KF_METHOD_DELETE, .has_length = 1),
	GET("a length, but not of the body", LINE HOST "X-Content-Length: 7\r\n\r\n"),
	GET("hosts", LINE "Host: my_service.example-1.org:8080\r\n\r\n"),
	GET("IPv6", LINE "Host: [fe80::1]:80\r\n\r\n"),
	GET("expect", LINE HOST "Expect: 100-Continue\r\n\r\n", .expect = 1),
	GET("expect in 1.0", "GET / HTTP/1.0\r\n" HOST "Expect: 100-continue\r\n\r\n",
	    .http_1_0 = 1),
	GET("h2c", LINE HOST "Upgrade: H2C\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
	    .upgrade = KF_UPGRADE_H2C, .connection_upgrade = 1),
	GET("websocket", LINE HOST "connection:upgrade\r\nupgrade: WebSocket\r\n\r\n",
	    .upgrade = KF_UPGRADE_WEBSOCKET, .connection_upgrade = 1),
	GET("a list of upgrades", LINE HOST "Upgrade: h2c, websocket\r\n\r\n",
	    .upgrade = KF_UPGRADE_OTHER),
	GET("nearly websocket", LINE HOST "Upgrade: websocker\r\n\r\n",
	    .upgrade = KF_UPGRADE_OTHER),
	GET("an empty upgrade", LINE HOST "Upgrade:\r\n\r\n", .upgrade = KF_UPGRADE_OTHER),
	GET("connection", LINE HOST "Connection: keep-alive\r\n\r\n", .keep_alive = 1),
	GET("connection, listed", LINE HOST "Connection: ,Keep-Alive , close,TE\r\n\r\n",
	    .keep_alive = 1, .close = 1),
	GET("connection, twice", LINE HOST "Connection: close\r\nConnection: x-closed\r\n\r\n",
	    .close = 1),
	GET("a body encoded", LINE HOST "Content-Encoding: gzip\r\n\r\n", .encoded = 1),
	GET("a body not encoded", LINE HOST "Content-Encoding: Identity\r\n\r\n"),
	GET("HTAB and obs-text in values", LINE HOST "a: \t\xc3\xa9\t x\x80\xff\t\r\n\r\n"),
	GET("no value, no space", LINE HOST "a:\r\nb: \r\n\r\n"),
	GET("all of a name", LINE HOST "!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n"),
	GET("an underscore, but no alias", LINE HOST "x_request_id: 1\r\n\r\n"),
	GET("a long name", LINE HOST "anthropic-dangerous-direct-browser-access: true\r\n\r\n"),
	GET("a name of 32", LINE HOST "a2345678901234567890123456789012: 1\r\n\r\n"),
	GET("a known name, and more",
	    LINE HOST "content-length-content-length-content-length: x\r\n\r\n"),
	GET("colons in values", LINE HOST "a::b: c\r\n\r\n"),
	GET("a long value",
	    LINE HOST "a: " KEY KEY KEY KEY KEY KEY "\t" KEY KEY KEY "\r\nx-api-key: a\r\n\r\n",
	    .key_source = KF_KEY_X_API_KEY, .key = "a"),
};

static void check_accepted(const struct expected *e)
{
	const struct kf_http1 *h;
	struct kf_http1 out;
	const char *buf = (const char *)http1_buffer();
	size_t len = strlen(e->head);
	enum kf_http1_result result;

	result = http1_run(&out, e->sources ? e->sources : KF_KEY_ANY, e->head, len);
	h = &out;
	if (result != KF_HTTP1_REQUEST)
		fail_msg("%s: %d %s", e->title, result, kf_detail_name(h->detail));
	assert_int_equal(h->head_len, len);
	assert_int_equal(h->method, e->method);
	assert_int_equal(h->method_off, e->method_off);
	assert_int_equal(h->method_len, strcspn(e->head + e->method_off, " "));
	assert_int_equal(h->protocol, e->protocol);
	assert_int_equal(h->minor, !e->http_1_0);
	assert_int_equal(h->has_content_length, e->has_length);
	assert_int_equal(h->content_length, e->length);
	assert_int_equal(h->chunked, e->chunked);
	assert_int_equal(h->expect_continue, e->expect);
	assert_int_equal(h->upgrade, e->upgrade);
	assert_int_equal(h->connection_close, e->close);
	assert_int_equal(h->connection_keep_alive, e->keep_alive);
	assert_int_equal(h->connection_upgrade, e->connection_upgrade);
	assert_int_equal(h->content_encoded, e->encoded);
	assert_int_equal(h->key_source, e->key_source);
	assert_int_equal(h->key_len, e->key ? strlen(e->key) : 0);
	if (e->key)
		assert_memory_equal(buf + h->key_off, e->key, h->key_len);
	if (h->upgrade)
		assert_int_equal(strncasecmp(buf + h->upgrade_name_off, "upgrade:", 8), 0);
	else
		assert_int_equal(h->upgrade_name_off, 0);
	if (!e->target)
		return;
	assert_int_equal(h->target_len, strlen(e->target));
	assert_memory_equal(buf + h->target_off, e->target, h->target_len);
	assert_int_equal(h->path_len, strcspn(e->target, "?"));
}

static void accepts(void **state)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		check_accepted(&accepted[i]);
}

/* Every name of the table is found in its place, and nothing else is. */
static void finds_names(void **state)
{
	static const char *const names[] = {
		[KF_FIELD_AUTHORIZATION] = "authorization",
		[KF_FIELD_X_API_KEY] = "x-api-key",
		[KF_FIELD_API_KEY] = "api-key",
		[KF_FIELD_X_GOOG] = "x-goog-api-key",
		[KF_FIELD_WEBSOCKET_PROTOCOL] = "sec-websocket-protocol",
		[KF_FIELD_HOST] = "host",
		[KF_FIELD_CONTENT_LENGTH] = "content-length",
		[KF_FIELD_TRANSFER_ENCODING] = "transfer-encoding",
		[KF_FIELD_EXPECT] = "expect",
		[KF_FIELD_UPGRADE] = "upgrade",
		[KF_FIELD_CONNECTION] = "connection",
		[KF_FIELD_CONTENT_ENCODING] = "content-encoding",
	};
	__u64 word[3];

	for (__u32 i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!names[i])
			continue;
		memset(word, 0, sizeof(word));
		memcpy(word, names[i], strlen(names[i]));
		assert_int_equal(kf_http1_lookup(word[0], word[1], word[2]), i);
		word[2] ^= 1;
		assert_int_equal(kf_http1_lookup(word[0], word[1], word[2]), KF_FIELD_NONE);
	}
	assert_int_equal(kf_http1_lookup(0, 0, 0), KF_FIELD_NONE);
}

/* The words of swar.h say of each byte, at each place, what a look at the byte says. */
static void classifies(void **state)
{
	for (unsigned int b = 0; b < 256; b++) {
		_Bool alnum = (b >= '0' && b <= '9') || ((b | 32) >= 'a' && (b | 32) <= 'z');
		_Bool control = b < 0x20 || b == 0x7f;

		if (b >= 0x80)
			alnum = 0;
		for (unsigned int place = 0; place < 64; place += 8) {
			__u64 others = KF_SWAR('a') & ~(0xffull << place);
			__u64 word = others | (__u64)b << place, bit = 0x80ull << place;

			assert_int_equal(kf_swar_not_name(word), alnum || b == '-' ? 0 : bit);
			assert_int_equal(kf_swar_not_target(word),
					 alnum || b == '-' || b == '.' || b == '/' ? 0 : bit);
			assert_int_equal(kf_swar_not_host(word),
					 alnum || (b && strchr("-._:[]", (int)b)) ? 0 : bit);
			assert_int_equal(kf_swar_control(word), control ? bit : 0);
			assert_int_equal(kf_swar_not_vchar(word),
					 control || b == ' ' || b >= 0x80 ? bit : 0);
			assert_int_equal(kf_swar_first(bit), place / 8);
			assert_int_equal(kf_swar_below(bit), ((1ull << place) - 1));
		}
	}
	for (unsigned int a = 0; a < 256; a++)
		for (unsigned int b = 0; b < 256; b++) {
			_Bool pair = (a == '.' || a == '/') && (b == '.' || b == '/');
			__u64 word = KF_SWAR('a') << 32 | b << 24 | a << 16 | 'a' << 8 | 'a';

			assert_int_equal(kf_swar_dot_slash_pair(word), pair ? 0x800000 : 0);
		}
}

/* A body and the next request behind a head change nothing. */
static void stops_at_the_blank_line(void **state)
{
	static const char both[] = LINE HOST "\r\nGET / HTTP/9\r\nHost: \0";
	struct kf_http1 h;

	assert_int_equal(http1_run(&h, KF_KEY_ANY, both, sizeof(both)), KF_HTTP1_REQUEST);
	assert_int_equal(h.head_len, strlen(LINE HOST "\r\n"));
}

static void remembers_the_outcome(void **state)
{
	__u8 *buf = http1_buffer();
	struct kf_http1 h;

	memcpy(buf, "GET /\n", 6);
	kf_http1_begin(&h, KF_KEY_ANY);
	assert_int_equal(kf_http1_parse(&h, buf, 6), KF_HTTP1_MALFORMED);
	memcpy(buf, LINE HOST "\r\n", strlen(LINE HOST "\r\n"));
	assert_int_equal(kf_http1_parse(&h, buf, 100), KF_HTTP1_MALFORMED);
	kf_http1_begin(&h, KF_KEY_ANY);
	assert_int_equal(kf_http1_parse(&h, buf, 100), KF_HTTP1_REQUEST);
	assert_int_equal(kf_http1_parse(&h, buf, 101), KF_HTTP1_REQUEST);
}

/* Fills @buf with @begin, @fill up to @len, and @end. */
static void fill(__u8 *buf, size_t len, const char *begin, char with, const char *end)
{
	memset(buf, with, len);
	memcpy(buf, begin, strlen(begin));
	memcpy(buf + len - strlen(end), end, strlen(end));
	http1_noise(buf, len, 0);
}

/* One head, whole, and byte by byte up to @len; the results must be the same. */
static enum kf_http1_result measured(struct kf_http1 *h, size_t len)
{
	__u8 *buf = http1_buffer();
	enum kf_http1_result result, drip = KF_HTTP1_INCOMPLETE;
	struct kf_http1 h2;

	kf_http1_begin(h, KF_KEY_ANY);
	result = kf_http1_parse(h, buf, (__u32)len);
	kf_http1_begin(&h2, KF_KEY_ANY);
	for (__u32 i = 1; i <= len && drip == KF_HTTP1_INCOMPLETE; i++)
		drip = kf_http1_parse(&h2, buf, i);
	http1_assert_same(&h2, drip, h, result, "drip", len);
	return result;
}

static void knows_its_limit(void **state)
{
	static char pad[KF_HEAD_MAX + 1];
	__u8 *buf = http1_buffer();
	struct kf_http1 h;
	size_t at;

	/* two lines as long as they may be, and one that fills the head to the last byte */
	for (size_t over = 0; over < 2; over++) {
		at = (size_t)sprintf((char *)buf, LINE HOST);
		memset(pad, 'x', sizeof(pad));
		for (size_t lines = 0; lines < 2; lines++)
			at += (size_t)sprintf((char *)buf + at, "a:%.*s\r\n",
					      lines ? (int)(KF_HEAD_MAX + over - at - 6)
						    : (int)KF_HTTP1_LINE_MAX - 2,
					      pad);
		memcpy(buf + at, "\r\n", 2);
		http1_noise(buf, at + 2, 0);
		assert_int_equal(at + 2, KF_HEAD_MAX + over);
		kf_http1_begin(&h, KF_KEY_ANY);
		assert_int_equal(kf_http1_parse(&h, buf, KF_HEAD_MAX - 1), KF_HTTP1_INCOMPLETE);
		assert_int_equal(kf_http1_parse(&h, buf, KF_HEAD_MAX),
				 over ? KF_HTTP1_TOO_LARGE : KF_HTTP1_REQUEST);
		assert_true(over || h.head_len == KF_HEAD_MAX);
	}
}

/* Each of these is as long as a line may be, and then a byte longer. */
static void limits_lines(void **state)
{
	static const struct {
		const char *begin, *end;
		char with;
		size_t others; /* bytes of @begin and @end that are no part of the line */
	} longest[] = {
		{ LINE HOST "a: ", "\r\n\r\n", 'x', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "a: ", "\r\n\r\n", '\t', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "x-api-key: ", "\r\n\r\n", 'k', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "x-api-key: ", "k\r\n\r\n", ' ', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "x-api-key: k", "\r\n\r\n", ' ', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "Authorization: Bearer ", "k\r\n\r\n", ' ', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "Connection: ", "\r\n\r\n", ',', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "Connection: ", "\r\n\r\n", 'x', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST "Sec-WebSocket-Protocol: ", "\r\n\r\n", ',',
		  sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST, ":\r\n\r\n", 'x', sizeof(LINE HOST) - 1 + 4 },
		{ LINE HOST, ":\r\n\r\n", '_', sizeof(LINE HOST) - 1 + 4 },
		{ "GET /", " HTTP/1.1\r\n" HOST "\r\n", 'x', sizeof(HOST) - 1 + 4 },
		{ "GET /", " HTTP/1.1\r\n" HOST "\r\n", '~', sizeof(HOST) - 1 + 4 },
		{ "GET /a/b/c%20", " HTTP/1.1\r\n" HOST "\r\n", 'x', sizeof(HOST) - 1 + 4 },
		{ "GET /?", " HTTP/1.1\r\n" HOST "\r\n", '&', sizeof(HOST) - 1 + 4 },
		{ "GET /?key=", " HTTP/1.1\r\n" HOST "\r\n", 'k', sizeof(HOST) - 1 + 4 },
		{ "\r\nGET /?", "%20 HTTP/1.1\r\n" HOST "\r\n", 'x', sizeof(HOST) - 1 + 6 },
	};
	__u8 *buf = http1_buffer();
	struct kf_http1 h;

	for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++)
		for (size_t over = 0; over < 3; over++) {
			size_t len = KF_HTTP1_LINE_MAX + over + longest[i].others;

			fill(buf, len, longest[i].begin, longest[i].with, longest[i].end);
			if (measured(&h, len) != (over ? KF_HTTP1_TOO_LARGE : KF_HTTP1_REQUEST))
				fail_msg("%zu, %zu bytes over: %s", i, over,
					 kf_detail_name(h.detail));
		}
}

static void limits_fields(void **state)
{
	__u8 *buf = http1_buffer();
	struct kf_http1 h;

	for (size_t fields = KF_HTTP1_FIELDS_MAX - 1; fields < KF_HTTP1_FIELDS_MAX + 3; fields++)
		for (size_t pad = 0; pad < 200; pad += 100) {
			size_t at = (size_t)sprintf((char *)buf, LINE HOST);

			for (size_t i = 1; i < fields; i++)
				at += (size_t)sprintf((char *)buf + at, "a%zu: %*s\r\n", i,
						      (int)pad, "b");
			at += (size_t)sprintf((char *)buf + at, "\r\n");
			http1_noise(buf, at, 1);
			assert_int_equal(measured(&h, at), fields > KF_HTTP1_FIELDS_MAX
								   ? KF_HTTP1_TOO_LARGE
								   : KF_HTTP1_REQUEST);
		}
}

/* A head that begins with empty lines, and empty lines that begin no head yet. */
static void tells_blank_lines(void **state)
{
	static const struct {
		const char *text;
		_Bool blank;
	} cases[] = {
		{ "\r\n", 1 },
		{ "", 0 },
		{ "\r", 0 },
		{ "\r\n\r", 0 },
		{ "\r\nG", 0 },
		{ "G", 0 },
		{ "GET / HTTP/1.1\r\n", 0 },
	};
	__u8 *buf = http1_buffer();
	struct kf_http1 h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__u32 len = (__u32)strlen(cases[i].text);

		memcpy(buf, cases[i].text, len);
		http1_noise(buf, len, 1);
		kf_http1_begin(&h, KF_KEY_ANY);
		assert_int_equal(kf_http1_parse(&h, buf, len), KF_HTTP1_INCOMPLETE);
		assert_int_equal(kf_http1_is_blank(&h, len), cases[i].blank);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(finds_names),
		cmocka_unit_test(classifies),
		cmocka_unit_test(stops_at_the_blank_line),
		cmocka_unit_test(remembers_the_outcome),
		cmocka_unit_test(knows_its_limit),
		cmocka_unit_test(limits_lines),
		cmocka_unit_test(limits_fields),
		cmocka_unit_test(tells_blank_lines),
	};

	return cmocka_run_group_tests_name("http1", tests, NULL, NULL);
}
