// SPDX-License-Identifier: GPL-2.0-only
#include "body.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../packet/body.h"

#define KF_BODY_ROUNDS_RUN 9
#define KF_BODY_REPEAT	   2000
#define KF_BODY_SIZE	   8192

/* A body is @begin, as much of @fill as fits, @end. */
static const struct {
	const char *shape, *begin, *fill, *end;
} shapes[] = {
	{ "text", "{\"messages\":[{\"role\":\"user\",\"content\":\"",
	  "A long text as people write it, or base64 of an image: no escapes. ",
	  "\"}],\"model\":\"gpt-4o-mini\"}" },
	{ "code", "{\"messages\":[{\"role\":\"user\",\"content\":\"",
	  "\\tif (list[i] == \\\"name\\\") {\\n\\t\\treturn list[i + 1]; /* the value */\\n",
	  "\"}],\"model\":\"gpt-4o-mini\"}" },
	{ "unicode", "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\\u4f60\\u597d",
	  "\"}],\"model\":\"gpt-4o-mini\"}" },
	{ "members", "{\"messages\":[", "{\"role\":\"user\",\"content\":\"hi\"},",
	  "{}],\"model\":\"gpt-4o-mini\"}" },
	{ "tokens", "{\"model\":\"gpt-4o-mini\",\"prompt\":[", "15339,1917,", "0]}" },
	{ "nested", "{\"model\":\"gpt-4o-mini\",\"a\":[", "[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]],",
	  "0]}" },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static __u32 kf_bench_body_make(size_t shape, __u8 *out)
{
	size_t at = strlen(shapes[shape].begin), fill = strlen(shapes[shape].fill);

	memcpy(out, shapes[shape].begin, at);
	for (; at + fill < KF_BODY_SIZE - 64; at += fill)
		memcpy(out + at, shapes[shape].fill, fill);
	memcpy(out + at, shapes[shape].end, strlen(shapes[shape].end));
	return (__u32)(at + strlen(shapes[shape].end));
}

static __u32 kf_bench_body_run(int program, __u32 verdict)
{
	static __u8 frame[64];
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
			    .data_size_in = sizeof(frame), .repeat = KF_BODY_REPEAT);

	if (bpf_prog_test_run_opts(program, &opts))
		err(1, "scan_body");
	if (opts.retval != verdict)
		errx(1, "scan_body: returned %u, wanted %u", opts.retval, verdict);
	return opts.duration;
}

static int kf_bench_body_compare(const void *a, const void *b)
{
	return (int)*(const __u32 *)a - (int)*(const __u32 *)b;
}

static __u32 kf_bench_body_median(__u32 *rounds)
{
	qsort(rounds, KF_BODY_ROUNDS_RUN, sizeof(*rounds), kf_bench_body_compare);
	return rounds[KF_BODY_ROUNDS_RUN / 2];
}

void kf_bench_body(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	__u32 rounds[SHAPES + 1][KF_BODY_ROUNDS_RUN], len[SHAPES + 1];
	struct kf_body_place *place;
	int program;

	if (!object || bpf_object__load(object))
		err(1, "%s", path);
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "body_run"));
	place = mmap(NULL, (sizeof(*place) + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_object__find_map_fd_by_name(object, "body_place"), 0);
	if (place == MAP_FAILED)
		err(1, "body_place");
	place->first = 1;
	for (int round = 0; round < KF_BODY_ROUNDS_RUN; round++) {
		for (size_t i = 0; i <= SHAPES; i++) { /* the last one: no byte */
			len[i] = place->to = i < SHAPES ? kf_bench_body_make(i, place->buf) : 0;
			rounds[i][round] = kf_bench_body_run(program, i < SHAPES ? KF_BODY_WHOLE
										 : KF_BODY_MORE);
		}
	}
	for (size_t i = 0; i < SHAPES; i++)
		printf("{\"bench\":\"scan_body_%s\",\"metric\":\"scan_body_ns_per_kib\","
		       "\"value\":%ld,\"unit\":\"ns\"}\n",
		       shapes[i].shape,
		       ((long)kf_bench_body_median(rounds[i]) -
			(long)kf_bench_body_median(rounds[SHAPES])) *
			       1024 / (long)len[i]);
	munmap(place, (sizeof(*place) + 4095) & ~4095ul);
	bpf_object__close(object);
}
