// SPDX-License-Identifier: GPL-2.0-only
/*
 * body_test [SECONDS] - body.h in the kernel and here must agree, byte for byte of struct kf_body.
 *
 * Bodies are cut, mutated and mixed by a generator with a fixed seed, and read in pieces; after
 * each piece both states are compared. SECONDS, 2 unless given, bounds it.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "body.h"

static const char *const seeds[] = {
	"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"a longer text, of "
	"more "
	"than sixteen bytes and \\u4f60\\n escapes, and then some more of it to pass over, so that "
	"a step does not end with it but goes on for a hundred and twenty-eight bytes\"}],\"n\":2}",
	"{\"max_tokens\":1024,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	"\"max_completion_tokens\":7,\"model\":\"\xe9\x80\x9a\\u4e49\\/"
	"x\",\"temperature\":-0.5e+3}",
	"{\n    \"prompt\": [\"a\", [1, 2]],\n    \"model\": \"m\",\n    \"best_of\": 3\n}\n",
	"{\"generationConfig\":{\"maxOutputTokens\":5,\"candidateCount\":2},\"x\":[[],{},null,"
	"false]}",
};
#define SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static struct kf_body_place *place;
static int program;

/* Reads the @len bytes at @text, put to @from of the buffer, in the kernel and here; compares. */
static void check(struct kf_body *b, const char *text, __u32 len, __u32 from)
{
	static __u8 frame[64], buf[KF_BODY_BUFFER];
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
			    .data_size_in = sizeof(frame));
	enum kf_body_result result;

	memcpy(buf + from, text, len);
	result = kf_body_parse(b, place->secret, buf, from, from + len);
	memcpy(place->buf + from, text, len);
	place->from = from;
	place->to = from + len;
	if (bpf_prog_test_run_opts(program, &opts))
		err(1, "body_run");
	if (opts.retval != (__u32)result || memcmp(b, &place->body, sizeof(*b)) != 0)
		errx(1, "the kernel says %u (%s), this program %d (%s), after %.*s", opts.retval,
		     kf_body_fault_name(place->body.fault), result, kf_body_fault_name(b->fault),
		     (int)len, text);
}

/* A body: one of the seeds, now and then with some bytes of it turned into others. */
static size_t body(char *out, unsigned int *seed)
{
	static const char bytes[] = "\"\\{}[]:,0159-.eEtfnu \n\x01\x7f\xff/dM";
	const char *from = seeds[rand_r(seed) % SEEDS];
	size_t len = strlen(from);

	memcpy(out, from, len);
	for (int i = rand_r(seed) % 4; i > 1; i--)
		out[(size_t)rand_r(seed) % len] = bytes[rand_r(seed) % (sizeof(bytes) - 1)];
	return len;
}

/* Where in the buffer @len bytes may stand: often at its end. */
static __u32 room(size_t len, unsigned int *seed)
{
	__u32 most = KF_BODY_PAGE - (__u32)len;

	return rand_r(seed) % 2 ? most : (__u32)rand_r(seed) % (most + 1);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
	unsigned int seed = 1, whole = 0, refused = 0;
	const char *build = getenv("KF_BUILD") ?: "build";
	struct bpf_object *object;
	char path[4096], text[1024];

	snprintf(path, sizeof(path), "%s/tests/packet/body.bpf.o", build);
	object = bpf_object__open_file(path, NULL);
	if (!object || bpf_object__load(object))
		err(1, "%s", path);
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "body_run"));
	place = mmap(NULL, (sizeof(*place) + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_object__find_map_fd_by_name(object, "body_place"), 0);
	if (place == MAP_FAILED)
		err(1, "body_place");
	place->secret[0] = 0x0706050403020100ull;
	place->secret[1] = 0x0f0e0d0c0b0a0908ull;
	while (time(NULL) < end || !whole || !refused) {
		size_t len = body(text, &seed), at = 0;
		struct kf_body b;

		kf_body_begin(&b);
		kf_body_begin(&place->body);
		while (at < len) {
			size_t n = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 2 ? 12 : 400);

			n = n < len - at ? n : len - at;
			check(&b, text + at, (__u32)n, room(n, &seed));
			at += n;
		}
		whole += !b.fault && !kf_body_end(&b, 0);
		refused += !!b.fault;
	}
	printf("%u bodies read, %u refused\n", whole, refused);
	bpf_object__close(object);
	return 0;
}
