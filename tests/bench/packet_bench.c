// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet_bench - nanoseconds a packet, by BPF_PROG_TEST_RUN, one JSON object a line.
 *
 *   packet_bench OBJECT_DIR BENCH_OBJECT_DIR [XDP_FILTER_OBJECT]
 *
 * Each figure is the median of KF_ROUNDS rounds; the rounds of all benches take turns, so that what
 * disturbs the machine disturbs all of them. The `head` benches put their flow back before each
 * run; that part, measured beside them, is taken off. refuse_reply is XDP's part and TC's together,
 * from the refused head to the answer in the driver's hands and the RST on its way to the backend;
 * what the kernel does between the two programs is not in it. Behind them come the bodies (body.h).
 */
#include <arpa/inet.h>
#include <err.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../packet/abuse.h"
#include "../packet/frame.h"
#include "../packet/world.h"
#include "body.h"

#define KF_ROUNDS 9
#define KF_REPEAT 200000
#define KF_ISN	  5000u

struct kf_bench {
	const char *name;
	int fd;		  /* of the program */
	int less;	  /* index of the bench to take off, -1: none */
	uint32_t verdict; /* what it must return, or it measures something else */
	bool lists;	  /* deny and allow lists are there: it may be on one */
	bool tc;
	uint8_t frame[2048];
	size_t len;
	uint32_t rounds[KF_ROUNDS];
};

enum {
	EMPTY,
	RESET,
	NOT_OURS,
	DENIED,
	PENALISED,
	PENALISED_LISTS,
	FLOW,
	REFUSED_235,
	ADMITTED_449,
	REPLY_XDP,
	TC_EMPTY,
	TC_RESET,
	REPLY_TC,
	FILTER,
	BENCHES
};

static struct kf_bench benches[BENCHES];
static struct __sk_buff sent_by; /* the interface that TC sends by */

static void kf_bench_set(int index, const char *name, int fd, uint32_t verdict,
			 const struct kf_frame_spec *spec)
{
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	struct kf_bench *bench = &benches[index];

	bench->name = name;
	bench->fd = fd;
	bench->less = -1;
	bench->verdict = verdict;
	bench->lists = true;
	bench->len = kf_frame_build(spec, room + 2);
	if (!bench->len || bench->len > sizeof(bench->frame))
		errx(1, "%s: the frame does not fit", name);
	memcpy(bench->frame, room + 2, bench->len);
}

static int kf_bench_compare(const void *a, const void *b)
{
	return (int)*(const uint32_t *)a - (int)*(const uint32_t *)b;
}

static uint32_t kf_bench_median(struct kf_bench *bench)
{
	qsort(bench->rounds, KF_ROUNDS, sizeof(*bench->rounds), kf_bench_compare);
	return bench->rounds[KF_ROUNDS / 2];
}

static void kf_bench_round(struct kf_world *world, struct kf_bench *bench, int round)
{
	const char *only = getenv("KF_BENCH_ONLY"); /* for perf record */
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bench->frame,
			    .data_size_in = bench->len, .repeat = KF_REPEAT);

	if (bench->tc) {
		opts.ctx_in = &sent_by;
		opts.ctx_size_in = sizeof(sent_by);
	}

	if (bench->fd < 0 || (only && (!bench->name || strcmp(only, bench->name) != 0)))
		return;
	kf_world_config(world)->flags = bench->lists ? KF_CONFIG_HOSTS : 0;
	if (bpf_prog_test_run_opts(bench->fd, &opts))
		err(1, "%s", bench->name ?: "part of a bench");
	if (opts.retval != bench->verdict)
		errx(1, "%s: returned %u, wanted %u", bench->name ?: "part of a bench", opts.retval,
		     bench->verdict);
	bench->rounds[round] = opts.duration;
}

static long kf_bench_ns(int index)
{
	struct kf_bench *bench = &benches[index];
	long ns = kf_bench_median(bench);

	if (bench->less >= 0)
		ns -= (long)kf_bench_median(&benches[bench->less]) -
		      (long)kf_bench_median(&benches[bench->tc ? TC_EMPTY : EMPTY]);
	return ns;
}

static void kf_bench_print(int index)
{
	struct kf_bench *bench = &benches[index];
	long ns;

	if (bench->fd < 0 || !bench->name)
		return;
	ns = kf_bench_ns(index);
	if (index == REPLY_XDP)
		ns += kf_bench_ns(REPLY_TC);
	printf("{\"bench\":\"%s\",\"metric\":\"ns_per_packet\",\"value\":%ld,\"unit\":\"ns\"}\n",
	       bench->name, ns);
}

/* A request head of exactly @len bytes. */
static size_t kf_bench_head(char *out, size_t len, const char *key)
{
	static const char sdk[] = "POST /v1/chat/completions HTTP/1.1\r\n"
				  "Host: api.example:8000\r\n"
				  "Authorization: Bearer %.51s\r\n"
				  "Content-Type: application/json\r\n"
				  "Content-Length: 2\r\n";
	static const char more[] = "Accept: application/json\r\n"
				   "User-Agent: OpenAI/JS 4.77.0\r\n"
				   "X-Stainless-Lang: js\r\n"
				   "X-Stainless-OS: Linux\r\n"
				   "X-Stainless-Arch: x64\r\n"
				   "X-Stainless-Runtime: node\r\n"
				   "X-Stainless-Retry-Count: 0\r\n";
	size_t used = sprintf(out, sdk, key);

	if (len > 400)
		used += sprintf(out + used, "%s", more);
	if (used + 12 > len)
		errx(1, "no head of %zu bytes", len);
	used += sprintf(out + used, "X-Fill: %0*d\r\n\r\n", (int)(len - used - 12), 0);
	return used;
}

static int kf_bench_program(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ? bpf_program__fd(program) : -1;
}

static struct bpf_object *kf_bench_load(struct kf_world *world, const char *dir, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return kf_world_join(world, path);
}

static struct kf_frame_spec kf_bench_client(int port, const char *data, size_t len)
{
	return (struct kf_frame_spec){ .client_port = port,
				       .seq = KF_ISN,
				       .ack = 1,
				       .data = (const uint8_t *)data,
				       .len = len };
}

/* Shakes hands for client port @port, with the service on @server_port; 0: 8000. */
static void kf_bench_connect(struct kf_world *world, int port, int server_port)
{
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	struct kf_frame_spec out = {
		.reverse = true, .client_port = port, .seq = 0, .ack = KF_ISN, .flags = 0x12
	};
	struct kf_frame_spec in = { .client_port = port, .seq = KF_ISN, .ack = 1 };
	struct kf_ran ran;

	in.server_port = out.server_port = server_port;

	kf_world_egress(world, room + 2, kf_frame_build(&out, room + 2), &ran);
	kf_world_ingress(world, KF_HOOK_XDP, room + 2, kf_frame_build(&in, room + 2), &ran);
}

/* A flow in the middle of a long body. */
static void kf_bench_upload(struct kf_world *world, int port)
{
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	char head[512];
	size_t len = sprintf(head,
			     "POST / HTTP/1.1\r\nHost: a\r\nx-api-key: %.51s\r\n"
			     "Content-Length: 1000000000\r\n\r\n",
			     kf_world_key(world));
	struct kf_frame_spec in = kf_bench_client(port, head, len);
	struct kf_frame_spec out = {
		.reverse = true, .client_port = port, .seq = 1, .ack = KF_ISN + len
	};
	struct kf_ran ran;

	kf_bench_connect(world, port, 0);
	kf_world_ingress(world, KF_HOOK_XDP, room + 2, kf_frame_build(&in, room + 2), &ran);
	kf_world_egress(world, room + 2, kf_frame_build(&out, room + 2), &ran);
}

/* xdp-filter's program that allows all IPv4 addresses but the listed, with one listed. */
static int kf_bench_filter(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct in_addr addr = { htonl(0x0a000002) };
	static uint64_t flags[256];
	struct bpf_map *pinned;
	int map;

	if (!object)
		return -1;
	bpf_object__for_each_map(pinned, object)
		bpf_map__set_pin_path(pinned, NULL);
	if (bpf_object__load(object))
		return -1;
	for (int i = 0; i < 256; i++)
		flags[i] = 1; /* MAP_FLAG_SRC */
	map = bpf_object__find_map_fd_by_name(object, "filter_ipv4");
	if (map < 0 || bpf_map_update_elem(map, &addr, flags, BPF_ANY))
		return -1;
	return kf_bench_program(object, "xdpfilt_alw_ip");
}

static void kf_bench_put(struct bpf_object *object, const char *map, uint32_t place,
			 const void *value)
{
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, map), &place, value,
				BPF_ANY))
		err(1, "%s", map);
}

/* The key of the flow of client port @port with the service on @server_port. */
static struct kf_flow_key kf_bench_key(int port, int server_port)
{
	struct kf_flow_key key = { .client_port = port, .server_port = server_port };

	memcpy(key.client, (uint8_t[16]){ [10] = 0xff, 0xff, 10, 0, 0, 2 }, 16);
	memcpy(key.server, (uint8_t[16]){ [10] = 0xff, 0xff, 10, 0, 0, 1 }, 16);
	return key;
}

/* A second service, on port 8001, which replies. */
static void kf_bench_replier(struct kf_world *world)
{
	struct kf_service service;
	uint32_t first = 0, second = 1;

	if (bpf_map_lookup_elem(kf_world_fd(world, "kf_services"), &first, &service))
		err(1, "kf_services");
	service.refuse = KF_REFUSE_REPLY;
	if (bpf_map_update_elem(kf_world_fd(world, "kf_services"), &second, &service, BPF_ANY) ||
	    bpf_map_update_elem(kf_world_fd(world, "kf_ports"), &(uint32_t){ 8001 },
				&(struct kf_port){ .any = 2 }, BPF_ANY))
		err(1, "kf_services");
}

/* An interface whose other end takes nothing: what is sent by it ends in its driver. */
static void kf_bench_interface(void)
{
	if (unshare(CLONE_NEWNET) ||
	    system("ip link add kfbench0 type veth peer name kfbench1 && ip link set kfbench0 up"))
		err(1, "an interface in a network namespace of its own");
	sent_by.ifindex = if_nametoindex("kfbench0");
}

/*
 * Two refused heads, one for XDP and one as XDP hands it over, each with a flow of its own: what
 * runs in between must not meet what the other one left.
 */
static void kf_bench_reply(struct kf_world *world, struct bpf_object *xdp, struct bpf_object *tc,
			   const char *bad)
{
	static char request[1024];
	struct kf_frame_spec spec =
		kf_bench_client(40004, request, kf_bench_head(request, 235, bad));
	struct {
		uint32_t len;
		uint8_t bytes[512];
	} frame;

	kf_bench_replier(world);
	kf_bench_interface();
	kf_bench_connect(world, 40004, 8001);
	spec.server_port = 8001;
	kf_bench_set(REPLY_XDP, "refuse_reply", kf_bench_program(xdp, "bench_head_reply"), XDP_PASS,
		     &spec);
	benches[REPLY_XDP].less = RESET;
	kf_bench_put(xdp, "bench_key", 1, &(struct kf_flow_key[]){ kf_bench_key(40004, 8001) });

	kf_bench_connect(world, 40005, 8001);
	spec.client_port = 40005;
	kf_bench_set(TC_EMPTY, NULL, kf_bench_program(tc, "bench_tc_empty"), TC_ACT_REDIRECT,
		     &spec);
	kf_bench_set(TC_RESET, NULL, kf_bench_program(tc, "bench_tc_reset"), TC_ACT_REDIRECT,
		     &spec);
	kf_bench_set(REPLY_TC, NULL, kf_bench_program(tc, "bench_tc_answer"), TC_ACT_REDIRECT,
		     &spec);
	benches[TC_EMPTY].tc = benches[TC_RESET].tc = benches[REPLY_TC].tc = true;
	benches[REPLY_TC].less = TC_RESET;
	kf_bench_put(tc, "bench_key", 0, &(struct kf_flow_key[]){ kf_bench_key(40005, 8001) });
	frame.len = benches[REPLY_TC].len;
	if (frame.len > sizeof(frame.bytes))
		errx(1, "refuse_reply: the frame does not fit");
	memcpy(frame.bytes, benches[REPLY_TC].frame, frame.len);
	frame.bytes[12] = KF_ETHERTYPE_ANSWER >> 8;
	frame.bytes[13] = KF_ETHERTYPE_ANSWER & 0xff;
	kf_bench_put(tc, "bench_frame", 0, &frame);
}

static void kf_bench_prepare(struct kf_world *world, struct bpf_object *object,
			     struct bpf_object *tc, const char *filter)
{
	static char refused[1024], admitted[1024];
	static const char body[1000] = "body";
	char bad[52];
	struct kf_frame_spec spec = kf_bench_client(40001, NULL, 0);
	uint8_t denied[16] = { [10] = 0xff, 0xff, 10, 0, 0, 9 };
	uint8_t penalised[16] = { [10] = 0xff, 0xff, 10, 0, 0, 8 };
	int head = kf_bench_program(object, "bench_head");
	int plain = kf_world_xdp(world);

	kf_bench_set(EMPTY, "empty", kf_bench_program(object, "bench_empty"), XDP_PASS, &spec);
	kf_bench_set(RESET, "reset", kf_bench_program(object, "bench_reset"), XDP_PASS, &spec);
	spec.server_port = 443;
	kf_bench_set(NOT_OURS, "not_a_service", plain, XDP_PASS, &spec);
	kf_world_source(world, denied, 128, &(struct kf_source){ .deny_until = KF_NEVER });
	spec = kf_bench_client(40001, NULL, 0);
	spec.client_host = 9;
	kf_bench_set(DENIED, "source_denied", plain, XDP_DROP, &spec);
	kf_abuse_penalise(world, penalised, 3600);
	spec.client_host = 8;
	kf_bench_set(PENALISED, "penalised_drop", plain, XDP_DROP, &spec);
	benches[PENALISED].lists = false;
	kf_bench_set(PENALISED_LISTS, "penalised_drop_lists", plain, XDP_DROP, &spec);
	kf_bench_upload(world, 40002);
	spec = kf_bench_client(40002, body, sizeof(body));
	spec.seq = KF_ISN + 5000;
	kf_bench_set(FLOW, "flow_pass", plain, XDP_PASS, &spec);

	kf_bench_connect(world, 40003, 0);
	kf_bench_put(object, "bench_key", 0, &(struct kf_flow_key[]){ kf_bench_key(40003, 8000) });
	memcpy(bad, kf_world_key(world), 52);
	bad[50] = 'x';
	spec = kf_bench_client(40003, refused, kf_bench_head(refused, 235, bad));
	kf_bench_set(REFUSED_235, "head_235_refused", head, XDP_DROP, &spec);
	spec = kf_bench_client(40003, admitted, kf_bench_head(admitted, 449, kf_world_key(world)));
	kf_bench_set(ADMITTED_449, "head_449_admitted", head, XDP_PASS, &spec);
	benches[REFUSED_235].less = benches[ADMITTED_449].less = RESET;
	kf_bench_reply(world, object, tc, bad);
	spec = kf_bench_client(40001, NULL, 0);
	kf_bench_set(FILTER, "xdp_filter_deny", filter ? kf_bench_filter(filter) : -1, XDP_DROP,
		     &spec);
}

/* Or it was something else that took that time. */
static void kf_bench_check_replies(struct kf_world *world)
{
	struct kf_counters *counters =
		calloc((size_t)libbpf_num_possible_cpus(), sizeof(*counters));
	uint64_t replies = 0;

	if (!counters ||
	    bpf_map_lookup_elem(kf_world_fd(world, "kf_counters"), &(uint32_t){ 1 }, counters))
		err(1, "kf_counters");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		replies += counters[cpu].replies;
	if (!getenv("KF_BENCH_ONLY") && replies != (uint64_t)KF_ROUNDS * KF_REPEAT)
		errx(1, "refuse_reply: %llu replies were sent", (unsigned long long)replies);
	free(counters);
}

int main(int argc, char **argv)
{
	struct bpf_object *object, *tc;
	struct kf_world *world;
	char path[4096];

	if (argc < 3)
		errx(2, "usage: packet_bench OBJECT_DIR BENCH_OBJECT_DIR [XDP_FILTER_OBJECT]");
	world = kf_world_new(argv[1]);
	object = kf_bench_load(world, argv[2], "bench.bpf.o");
	tc = kf_bench_load(world, argv[2], "bench_tc.bpf.o");
	kf_world_reset(world, KF_MODE_ENFORCE, 0, 0x1f);
	kf_world_event_rate(world, 1000);
	kf_bench_prepare(world, object, tc, argc > 3 ? argv[3] : NULL);
	for (int round = 0; round < KF_ROUNDS; round++) {
		for (int i = 0; i < BENCHES; i++)
			kf_bench_round(world, &benches[i], round);
	}
	kf_bench_check_replies(world);
	for (int i = 0; i < BENCHES; i++) {
		if (i != RESET)
			kf_bench_print(i);
	}
	bpf_object__close(tc);
	bpf_object__close(object);
	kf_world_free(world);
	snprintf(path, sizeof(path), "%s/../packet/body.bpf.o", argv[2]);
	kf_bench_body(path);
	return 0;
}
