// SPDX-License-Identifier: GPL-2.0-only
/* Where a head names a model, and which: tables of targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keyfilter/http1.h>
#include <keyfilter/model.h>

#include "http1_run.h"

static const __u64 secret[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };

#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\n"

static enum kf_model_found find_in(struct kf_model *m, struct kf_http1 *h, const char *method,
				   const char *target, const char *fields)
{
	char head[KF_HTTP1_LINE_MAX + 200];
	int len = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method,
			   target, fields);
	enum kf_model_found found, again;
	__u8 *buf = http1_buffer();

	memcpy(buf, head, (size_t)len);
	kf_http1_begin(h, KF_KEY_BEARER);
	if (kf_http1_parse(h, buf, (__u32)len) != KF_HTTP1_REQUEST)
		fail_msg("%s %s: %s", method, target, kf_detail_name(h->detail));
	for (unsigned int seed = 0; seed < 7; seed++) { /* what lies behind does not count */
		http1_noise(buf, (size_t)len, seed);
		again = kf_model_find(m, h, buf, secret);
		if (seed)
			assert_int_equal(again, found);
		found = again;
	}
	return found;
}

static enum kf_model_found find(struct kf_model *m, const char *method, const char *target,
				const char *fields)
{
	struct kf_http1 h;

	return find_in(m, &h, method, target, fields);
}

static void assert_named(const char *method, const char *target, const char *fields,
			 const char *name)
{
	struct kf_model m;
	__u8 tag[16];

	if (find(&m, method, target, fields) != KF_MODEL_NAMED)
		fail_msg("%s %s: no name is found", method, target);
	kf_keyhash(secret, (const __u8 *)name, (__u32)strlen(name), tag);
	if (memcmp(tag, m.name.tag, sizeof(tag)))
		fail_msg("%s %s: the name is not %s", method, target, name);
}

static void names_are_found(void **state)
{
	static const struct {
		const char *target, *name;
	} cases[] = {
		{ "/v1beta/models/m:generateContent", "m" },
		{ "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro" },
		{ "/v1/models/gemini:generateContent", "gemini" },
		{ "/models/m:x", "m" },
		{ "/v1beta/tunedModels/t-1:generateContent", "t-1" },
		{ "/v1beta/Models/m:generateContent", "m" },
		{ "/v1/projects/p/locations/l/publishers/google/models/m:predict", "m" },
		{ "/v1beta/models/a/b:generateContent", "a/b" },
		{ "/v1beta/models/a%2Fb:generateContent", "a/b" },
		{ "/v1beta/models/a/models/b:generateContent", "a/models/b" },
		{ "/v1beta/models/a/deployments/b:generateContent", "a/deployments/b" },
		{ "/v1beta/models/qwen:7b:generateContent", "qwen:7b" },
		{ "/v1beta/models/qwen%3A7b:generateContent", "qwen:7b" },
		{ "/v1beta/models/m%3AgenerateContent", "m" },
		{ "/v1beta/models/qwen%3a7b%3agenerateContent", "qwen:7b" },
		{ "/a:b/v1beta/models/m%3AgenerateContent", "m" },
		{ "/v1/models/m:generateContent/", "m" },
		{ "/v1beta/models/c+:generateContent", "c+" },
		{ "/v1beta/models/m;a=1:generateContent", "m;a=1" },
		{ "/v1beta/models/0123456789abcdefghijklmnopqrstuvwxyz%c3%a4%C3%A4:x",
		  "0123456789abcdefghijklmnopqrstuvwxyz\xc3\xa4\xc3\xa4" },
		{ "/v1beta/models/1234567:x", "1234567" },
		{ "/v1beta/models/12345678:x", "12345678" },
		{ "/v1beta/models/123456789:x", "123456789" },
		{ "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01", "gpt-4o" },
		{ "/openai/deployments/gpt-4o", "gpt-4o" },
		{ "/OpenAI/Deployments/x/y/z", "x" },
		{ "/openai/deployments/a:b/c:d", "a:b" },
		{ "/v1/engines/davinci/completions", "davinci" },
		{ "/v1/x?model=m", "m" },
		{ "/v1/x?a=b&model=meta%2Fllama%3A7b&c=d", "meta/llama:7b" },
		{ "/v1/x?MODEL=m", "m" },
		{ "/v1/x?Deployment=m", "m" },
		{ "/v1/x?modelx=1&model=m", "m" },
		{ "/v1/x?model_id=1&model=m&models=3&xmodel=4", "m" },
		{ "/v1/x?a=b=model=x&model=m", "m" },
		{ "/v1/x?a=?model=x&model=m", "m" },
		{ "/v1/x?model=a=b", "a=b" },
		{ "/v1/x?model=a/b?c", "a/b?c" },
		{ "/v1/x?model=c%2b", "c+" },
		{ "/v1/modelsx/a:b?model=m", "m" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_named("POST", cases[i].target, "Content-Length: 0\r\n", cases[i].name);
	assert_named("GET", "/v1/realtime?model=m", WEBSOCKET, "m");
	assert_named("GET", "/openai/realtime?deployment=m", WEBSOCKET, "m");
	assert_named("GET", "/openai/deployments/m/realtime", WEBSOCKET, "m");
	assert_named("GET", "/v1/models?model=m", "", "m");
}

static void others_are_not(void **state)
{
	static const char *const targets[] = {
		"/v1/chat/completions",
		"/",
		"/v1beta/models",
		"/v1beta/models/",
		"/v1/x:y",
		"/v1/x?models[]=m",
		"/v1/x?y=model",
		"/v1/x?",
		"/v1/x?models=m",
		"/v1/x?xmodel=m",
		"/v1/x?model.name=m",
		"/v1/x?deployments=m",
		"/openai/deployments",
		"/v1/chat-engines/x",
		"/v1/x?y=%6dodel&z=a+b",
		"/v1/x?a=%26model%3dm",
		"/v1/x?y=a;b",
	};
	struct kf_model m;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (find(&m, "POST", targets[i], "Content-Length: 0\r\n") != KF_MODEL_NONE)
			fail_msg("%s names a model", targets[i]);
	/* they tell, and call nothing */
	assert_int_equal(find(&m, "GET", "/v1/models/qwen:7b", ""), KF_MODEL_NONE);
	assert_int_equal(find(&m, "HEAD", "/v1beta/models/m:generateContent", ""), KF_MODEL_NONE);
	assert_int_equal(find(&m, "DELETE", "/v1/models/ft:gpt-4o:org::id", ""), KF_MODEL_NONE);
	assert_int_equal(find(&m, "GET", "/openai/deployments/m/x", ""), KF_MODEL_NONE);
	assert_int_equal(find(&m, "OPTIONS", "*", ""), KF_MODEL_NONE);
}

/* Servers that are sent a body go by that, and by the query where there is none. */
static void a_body_may_name_another(void **state)
{
	static const struct {
		const char *method, *target, *fields;
		bool sure;
	} cases[] = {
		{ "POST", "/v1/chat/completions?model=m", "Content-Length: 0\r\n", true },
		{ "POST", "/v1/chat/completions?model=m", "", true },
		{ "POST", "/v1/chat/completions?model=m", "Content-Length: 1\r\n", false },
		{ "POST", "/v1/chat/completions?model=m", "Transfer-Encoding: chunked\r\n", false },
		{ "GET", "/v1/realtime?model=m", WEBSOCKET, true },
		{ "POST", "/v1beta/models/m:x", "Content-Length: 1\r\n", false },
		{ "POST", "/v1beta/models/m:x", "", true },
		{ "POST", "/openai/deployments/m/x", "Transfer-Encoding: chunked\r\n", false },
		{ "POST", "/openai/deployments/m/x",
		  "Content-Type: Multipart/Form-Data; boundary=x\r\nContent-Length: 9\r\n", true },
		{ "POST", "/openai/deployments/m/x",
		  "Content-Type: multipart/form-dat\r\nContent-Length: 9\r\n", false },
		{ "POST", "/v1/x?model=m",
		  "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9\r\n", false },
	};
	struct kf_http1 h;
	struct kf_model m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(find_in(&m, &h, cases[i].method, cases[i].target, cases[i].fields),
				 KF_MODEL_NAMED);
		if (kf_model_is_sure(&m, &h) != cases[i].sure)
			fail_msg("%s %s", cases[i].target, cases[i].fields);
	}
}

static void what_is_unclear_is_told(void **state)
{
	static const char *const targets[] = {
		"/v1beta/models/:generateContent",
		"/v1beta/models/%3AgenerateContent",
		"/v1beta/models/a:b%3AgenerateContent",
		"/v1beta/models%2Fm:generateContent",
		"/v1beta/tunedModels%2fm:generateContent",
		"/openai/deployments%2Fm/chat/completions",
		"/v1/engines%2Fm/completions",
		"/openai%2Fdeployments/m/chat/completions",
		"/openai%2fdeployments%2fm/chat/completions",
		"/x%2FEngines/m/completions",
		"/x%2Fmodels/m:generateContent",
		"/v1beta/models/m",
		"/a:b/models/m",
		"/models/org/m",
		"/v2/models/m/infer",
		"/v2/models/m/versions/1/infer",
		"/v1/models/o/m/predictions",
		"/models/m:x/v1/chat/completions",
		"/models/m:x/v1/engines/n/completions",
		"/v1/x?model=m&model[]=n",
		"/v1/x?model[]=n",
		"/v1/x?deployment[0]=n",
		"/openai/deployments/",
		"/openai/deployments/a/models/b:x",
		"/openai/deployments/a/x%2Fmodels%2Fb:x",
		"/openai/deployments/models/b:x",
		"/v1/engines/a/deployments/b/completions",
		"/v1beta/models/m:generateContent?model=m",
		"/openai/deployments/m/x?model=m",
		"/v1/x?model=a&model=a",
		"/v1/x?model=a&deployment=a",
		"/v1/x?model=a&MODEL=b",
		"/v1/x?model",
		"/v1/x?model&a=b",
		"/v1/x?model=",
		"/v1/x?model=&a=b",
		"/v1/x?m%6fdel=b",
		"/v1/x?model=a&%6dodel=b",
		"/v1/x?model=a&+model=b",
		"/v1/x?model=a;b",
		"/v1/x?a=b;model=m",
		"/v1/x?model;a=b",
		"/v1/x?model=a+b",
		"/v1/x?model=a%00",
		"/v1/x?model=a%0a",
		"/v1/x?model=a%7f",
		"/v1/x?model=a%",
		"/v1/x?model=a%g1",
		"/v1/x?model=a%2",
	};
	struct kf_model m;
	char target[400];

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (find(&m, "POST", targets[i], "Content-Length: 0\r\n") != KF_MODEL_UNCLEAR)
			fail_msg("%s is clear", targets[i]);
	snprintf(target, sizeof(target), "/v1/x?model=%0255d", 0);
	assert_int_equal(find(&m, "POST", target, "Content-Length: 0\r\n"), KF_MODEL_NAMED);
	snprintf(target, sizeof(target), "/v1/x?model=%0256d", 0);
	assert_int_equal(find(&m, "POST", target, "Content-Length: 0\r\n"), KF_MODEL_UNCLEAR);
}

/* A long target, in which the name is the last: it is read to its end. */
static void long_targets_are_read(void **state)
{
	char target[KF_HTTP1_LINE_MAX];

	memset(target, '&', sizeof(target));
	memcpy(target, "/v1/x?a=", 8);
	strcpy(target + sizeof(target) - 40, "&model=last");
	assert_named("POST", target, "Content-Length: 0\r\n", "last");
	memset(target, 'x', sizeof(target) - 40);
	memcpy(target, "/v1/x?a=", 8);
	assert_named("POST", target, "Content-Length: 0\r\n", "last");
}

/* 255 bytes, each of them encoded. */
static void encoded_names_are_read(void **state)
{
	char target[900] = "/v1/x?model=", name[256];
	size_t len = strlen(target);

	for (size_t i = 0; i < 255; i++) {
		name[i] = (char)('!' + i % 90);
		len += (size_t)snprintf(target + len, sizeof(target) - len, "%%%02x",
					(unsigned int)name[i]);
	}
	name[255] = '\0';
	assert_named("POST", target, "Content-Length: 0\r\n", name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found),
		cmocka_unit_test(others_are_not),
		cmocka_unit_test(a_body_may_name_another),
		cmocka_unit_test(what_is_unclear_is_told),
		cmocka_unit_test(long_targets_are_read),
		cmocka_unit_test(encoded_names_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
