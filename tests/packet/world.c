// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>

#include <keyfilter/http1.h>
#include <keyfilter/keyhash.h>

#include "frame.h"
#include "world_parts.h"

#define KF_WORLD_PORT	   8000
#define KF_WORLD_FLOWS	   512
#define KF_WORLD_PENALTIES 1024

int kf_world_map(struct kf_world *world, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(world->xdp, name);

	if (fd < 0)
		errx(1, "no map %s", name);
	return fd;
}

void kf_world_put(struct kf_world *world, const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(kf_world_map(world, map), key, value, BPF_ANY))
		err(1, "%s", map);
}

static int kf_world_event(void *context, void *data, size_t len)
{
	struct kf_world *world = context;
	struct kf_event *event = data;

	(void)len;
	if (event->kind == KF_EVENT_PENALTY) {
		world->ran->penalty = event->retry_after;
		return 0;
	}
	world->ran->event = event->reason;
	world->ran->detail = event->detail;
	world->ran->request_id = event->request_id;
	return 0;
}

static struct bpf_object *kf_world_open(const char *dir, const char *name)
{
	struct bpf_object *object;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	object = bpf_object__open_file(path, NULL);
	if (!object)
		err(1, "%s", path);
	return object;
}

static void kf_world_load(struct bpf_object *object, const char *name)
{
	if (bpf_object__load(object))
		errx(1, "%s: the kernel refuses it", name);
}

static int kf_world_program(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	if (!program)
		errx(1, "no program %s", name);
	return bpf_program__fd(program);
}

static void *kf_world_mmap(struct kf_world *world, const char *map, size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, kf_world_map(world, map), 0);

	if (at == MAP_FAILED)
		err(1, "mmap %s", map);
	return at;
}

/* ---- answers --------------------------------------------------------------------------------- */

struct kf_world *kf_world_new(const char *dir)
{
	struct kf_world *world = calloc(1, sizeof(*world));
	struct bpf_map *map;

	if (!world)
		err(1, "calloc");
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	world->xdp = kf_world_open(dir, "keyfilter_xdp.bpf.o");
	map = bpf_object__find_map_by_name(world->xdp, "kf_flows");
	bpf_map__set_max_entries(map, KF_WORLD_FLOWS);
	kf_world_load(world->xdp, "keyfilter_xdp");
	world->tc = kf_world_open(dir, "keyfilter_tc.bpf.o");
	bpf_object__for_each_map(map, world->tc) {
		const char *name = bpf_map__name(map);

		if (strncmp(name, "kf_", 3) == 0 && !strchr(name, '.') &&
		    bpf_map__reuse_fd(map, kf_world_map(world, name)))
			err(1, "%s", name);
	}
	kf_world_load(world->tc, "keyfilter_tc");
	world->xdp_fd = kf_world_program(world->xdp, KF_PROGRAM_XDP);
	world->in_fd = kf_world_program(world->tc, KF_PROGRAM_INGRESS);
	world->out_fd = kf_world_program(world->tc, KF_PROGRAM_EGRESS);
	world->answer_fd = kf_world_program(world->tc, KF_PROGRAM_ANSWER);
	world->config = kf_world_mmap(world, "kf_config", sizeof(struct kf_config));
	world->slots = kf_world_mmap(world, "kf_slots", 4096 * sizeof(struct kf_slot));
	world->groups = kf_world_mmap(world, "kf_groups", KF_GROUPS_MAX * sizeof(struct kf_group));
	world->wallets = kf_world_mmap(world, "kf_wallets", 4096 * sizeof(struct kf_wallet));
	world->penalties = kf_world_mmap(world, "kf_penalties",
					 KF_WORLD_PENALTIES * sizeof(struct kf_penalty_set));
	world->ring =
		ring_buffer__new(kf_world_map(world, "kf_events"), kf_world_event, world, NULL);
	if (!world->ring)
		err(1, "ring buffer");
	memset(world->key, 'k', 51);
	memcpy(world->key, "sk-", 3);
	kf_world_fill_answers(world);
	return world;
}

void kf_world_free(struct kf_world *world)
{
	ring_buffer__free(world->ring);
	bpf_object__close(world->tc);
	bpf_object__close(world->xdp);
	free(world);
}

static void kf_world_empty(struct kf_world *world, const char *map)
{
	int fd = kf_world_map(world, map);
	uint8_t key[64];

	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		bpf_map_delete_elem(fd, key);
}

static void kf_world_zero_counters(struct kf_world *world)
{
	static struct kf_counters zero[256];

	kf_world_put(world, "kf_counters", &(uint32_t){ 0 }, zero);
}

static void kf_world_fill_config(struct kf_world *world)
{
	struct kf_config *config = world->config;

	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < 8; i++)
		config->flow_secret[i] = 0x9e3779b97f4a7c15ull * (i + 1);
	for (size_t i = 0; i < KF_DIGEST_WORDS; i++)
		config->digest_secret[i] = 0xbf58476d1ce4e5b9ull * (i + 3);
	config->secret[0] = 0x0706050403020100ull;
	config->secret[1] = 0x0f0e0d0c0b0a0908ull;
	config->cpus = libbpf_num_possible_cpus();
	config->heads = 8;
	config->embryo_mask = 4095;
	config->penalty_mask = KF_WORLD_PENALTIES - 1;
	config->syn_mask = 4095;
	config->event_rate = 1000000000;
	config->answer_mark = 0x6b66;
	config->head_timeout_ns = 10000000000ull;
	config->version = KF_ABI_VERSION;
	config->magic = KF_ABI_MAGIC;
}

/* Gives slot @index to the key @text, enabled, for ever. */
static void kf_world_enable(struct kf_world *world, uint32_t index, const char *text)
{
	struct kf_slot *slot = &world->slots[index];
	uint8_t tag[16];

	kf_keyhash((__u64 *)world->config->secret, (const uint8_t *)text, 51, tag);
	memset(slot, 0, sizeof(*slot));
	memcpy(slot->tag, tag, 16);
	slot->status = KF_KEY_ENABLED;
	slot->expires_ns = KF_NEVER;
	slot->rate_slot = index;
	kf_world_put(world, "kf_tags", tag, &index);
}

void kf_world_reset(struct kf_world *world, enum kf_mode mode, uint8_t flags, uint32_t key_sources)
{
	struct kf_service service = {
		.live = 1,
		.mode = mode,
		.flags = flags,
		.key_sources = key_sources,
		.refuse = KF_REFUSE_DROP,
	};

	kf_world_empty(world, "kf_flows");
	kf_world_empty(world, "kf_hosts");
	kf_world_empty(world, "kf_prefixes");
	kf_world_empty(world, "kf_key_allow");
	kf_world_empty(world, "kf_models");
	kf_world_empty(world, "kf_listeners");
	memset(world->groups, 0, KF_GROUPS_MAX * sizeof(struct kf_group));
	memset(world->wallets, 0, 4096 * sizeof(struct kf_wallet));
	memset(world->penalties, 0, KF_WORLD_PENALTIES * sizeof(struct kf_penalty_set));
	kf_world_zero_counters(world);
	kf_world_fill_config(world);
	if (world->no_answers)
		kf_world_fill_answers(world);
	kf_world_heads(world, 8);
	kf_world_put(world, "kf_services", &(uint32_t){ 0 }, &service);
	kf_world_put(world, "kf_ports", &(uint32_t){ KF_WORLD_PORT },
		     &(struct kf_port){ .any = 1 });
	kf_world_enable(world, KF_WORLD_SLOT, world->key);
	kf_world_enable(world, KF_WORLD_SLOT + 1, KF_WORLD_SECOND);
}

/* Which reason was counted since @before; all CPUs summed. */
static int kf_world_counted(const struct kf_counters *before, const struct kf_counters *after)
{
	int cpus = libbpf_num_possible_cpus(), counted = -1;

	for (int reason = 0; reason < KF_REASON_MAX; reason++) {
		uint64_t n = 0;

		for (int cpu = 0; cpu < cpus; cpu++)
			n += after[cpu].packets[reason] - before[cpu].packets[reason];
		if (n)
			counted = counted == -1 && n == 1 ? reason : -2;
	}
	return counted;
}

static void kf_world_unread(struct kf_world *world, struct kf_unread *sum)
{
	static struct kf_unread each[256];

	bpf_map_lookup_elem(kf_world_map(world, "kf_unread"), &(uint32_t){ 0 }, each);
	memset(sum, 0, sizeof(*sum));
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (int why = 0; why < KF_UNREAD_MAX; why++)
			sum->packets[why] += each[cpu].packets[why];
}

/* @reason, or where that is none, why the packet was not known to be any service's. */
static int kf_world_unread_since(struct kf_world *world, const struct kf_unread *before, int reason)
{
	struct kf_unread now;

	kf_world_unread(world, &now);
	for (int why = 0; why < KF_UNREAD_MAX; why++)
		if (now.packets[why] != before->packets[why])
			reason = reason == -1 ? KF_RAN_UNREAD_HEADERS - why : -2;
	return reason;
}

static uint32_t kf_world_run(struct kf_world *world, int fd, const uint8_t *frame, size_t len,
			     struct kf_ran *out)
{
	static struct kf_counters before[256], after[256];
	int counters = kf_world_map(world, "kf_counters");
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len,
			    .data_out = out->frame, .data_size_out = sizeof(out->frame),
			    .repeat = 1);
	struct __sk_buff ctx = { .ifindex = world->ifindex };
	struct kf_unread unread;

	if (world->ifindex && fd != world->xdp_fd) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	out->event = out->detail = -1;
	out->request_id = 0;
	out->penalty = 0;
	bpf_map_lookup_elem(counters, &(uint32_t){ 0 }, before);
	kf_world_unread(world, &unread);
	if (bpf_prog_test_run_opts(fd, &opts))
		err(1, "BPF_PROG_TEST_RUN");
	bpf_map_lookup_elem(counters, &(uint32_t){ 0 }, after);
	out->reason = kf_world_unread_since(world, &unread, kf_world_counted(before, after));
	out->len = opts.data_size_out;
	world->ran = out;
	ring_buffer__consume(world->ring);
	return opts.retval;
}

static void kf_world_run_tc(struct kf_world *world, int fd, const uint8_t *frame, size_t len,
			    struct kf_ran *out)
{
	uint32_t verdict = kf_world_run(world, fd, frame, len, out);

	out->passed = verdict == (uint32_t)TC_ACT_UNSPEC;
	out->redirected = verdict == TC_ACT_REDIRECT;
}

void kf_world_ingress(struct kf_world *world, enum kf_hook hook, const uint8_t *frame, size_t len,
		      struct kf_ran *out)
{
	out->handed = false;
	if (hook == KF_HOOK_TC) {
		kf_world_run_tc(world, world->in_fd, frame, len, out);
		return;
	}
	out->redirected = false;
	out->passed = kf_world_run(world, world->xdp_fd, frame, len, out) == XDP_PASS;
	if (out->passed && kf_frame_ethertype(out->frame) == KF_ETHERTYPE_ANSWER) {
		struct kf_ran handed = *out;

		kf_world_answer(world, out->frame, out->len, &handed);
		out->handed = true;
		out->passed = handed.passed;
		out->redirected = handed.redirected;
		out->len = handed.len;
		memcpy(out->frame, handed.frame, handed.len);
	}
}

void kf_world_egress(struct kf_world *world, const uint8_t *frame, size_t len, struct kf_ran *out)
{
	kf_world_run_tc(world, world->out_fd, frame, len, out);
}

void kf_world_answer(struct kf_world *world, const uint8_t *frame, size_t len, struct kf_ran *out)
{
	static uint8_t in[KF_FRAME_MAX];

	memcpy(in, frame, len); /* it may be @out's own */
	kf_world_run_tc(world, world->answer_fd, in, len, out);
}

void kf_world_refuse(struct kf_world *world, enum kf_refuse refuse)
{
	int fd = kf_world_map(world, "kf_services");
	struct kf_service service;

	if (bpf_map_lookup_elem(fd, &(uint32_t){ 0 }, &service))
		err(1, "kf_services");
	service.refuse = refuse;
	kf_world_put(world, "kf_services", &(uint32_t){ 0 }, &service);
}

void kf_world_interface(struct kf_world *world, unsigned int ifindex)
{
	world->ifindex = ifindex;
}

const char *kf_world_key(const struct kf_world *world)
{
	return world->key;
}

void kf_world_group(struct kf_world *world, uint32_t group, uint32_t protocols)
{
	world->groups[group].protocols = protocols;
}

void kf_world_wallet(struct kf_world *world, uint32_t wallet, const struct kf_wallet *value)
{
	world->wallets[wallet] = *value;
}

void kf_world_group_models(struct kf_world *world, uint32_t group, uint32_t set)
{
	world->groups[group].models = set;
}

void kf_world_model(struct kf_world *world, uint32_t set, const char *name)
{
	struct kf_set_model key = { .set = set };
	uint8_t one = 1;

	kf_keyhash((__u64 *)world->config->secret, (const uint8_t *)name, strlen(name), key.tag);
	kf_world_put(world, "kf_models", &key, &one);
}

struct kf_slot *kf_world_slot(struct kf_world *world)
{
	return &world->slots[KF_WORLD_SLOT];
}

void kf_world_allow(struct kf_world *world, const uint8_t addr[16], unsigned int bits)
{
	struct kf_key_prefix prefix = { .prefix_len = 32 + bits, .slot = KF_WORLD_SLOT };

	memcpy(prefix.addr, addr, 16);
	kf_world_put(world, "kf_key_allow", &prefix, &(uint8_t){ 1 });
	kf_world_slot(world)->flags |= KF_KEY_HAS_ALLOWLIST;
}

void kf_world_source(struct kf_world *world, const uint8_t addr[16], unsigned int bits,
		     const struct kf_source *value)
{
	struct kf_prefix prefix = { .prefix_len = bits };

	memcpy(prefix.addr, addr, 16);
	if (bits == 128) {
		kf_world_put(world, "kf_hosts", addr, value);
		world->config->flags |= KF_CONFIG_HOSTS;
	} else {
		kf_world_put(world, "kf_prefixes", &prefix, value);
		world->config->flags |= KF_CONFIG_PREFIXES;
	}
	world->config->source_generation++;
}

void kf_world_listen(struct kf_world *world, const uint8_t addr[16])
{
	struct kf_listener listener = { .port = KF_WORLD_PORT };

	memcpy(listener.addr, addr, 16);
	kf_world_put(world, "kf_listeners", &listener, &(uint32_t){ 0 });
	kf_world_put(world, "kf_ports", &(uint32_t){ KF_WORLD_PORT },
		     &(struct kf_port){ .listeners = 1 });
}

void kf_world_heads(struct kf_world *world, unsigned int places)
{
	static uint8_t zero[65536];

	world->config->heads = places;
	for (uint32_t i = world->config->cpus; i < 64; i++)
		kf_world_put(world, "kf_heads", &i, zero);
}

void kf_world_flow_state(struct kf_world *world, enum kf_flow_state state)
{
	int fd = kf_world_map(world, "kf_flows");
	struct kf_flow_key key;
	struct kf_flow flow;

	if (bpf_map_get_next_key(fd, NULL, &key) || bpf_map_lookup_elem(fd, &key, &flow))
		errx(1, "no flow to change");
	flow.state = state;
	flow.since = flow.seen;
	flow.out.flags = 0;
	if (state == KF_FLOW_UNSYNCED)
		flow.response.state = KF_RESPONSE_LOST;
	kf_world_put(world, "kf_flows", &key, &flow);
}

void kf_world_answer_age(struct kf_world *world, uint32_t ms, uint32_t seconds, uint32_t bytes)
{
	int fd = kf_world_map(world, "kf_flows");
	struct kf_flow_key key;
	struct kf_flow flow;

	if (bpf_map_get_next_key(fd, NULL, &key) || bpf_map_lookup_elem(fd, &key, &flow))
		errx(1, "no flow to change");
	flow.answer.ms -= ((uint64_t)ms * 1000000) >> 20;
	flow.answer.since -= ((uint64_t)seconds * 1000000000) >> 30;
	flow.in.resume_seq -= bytes;
	kf_world_put(world, "kf_flows", &key, &flow);
}

unsigned int kf_world_flows(struct kf_world *world)
{
	int fd = kf_world_map(world, "kf_flows");
	struct kf_flow_key key, *at = NULL;
	unsigned int n = 0;

	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		n++;
	}
	return n;
}

void kf_world_events(struct kf_world *world, struct kf_ran *out)
{
	world->ran = out;
	ring_buffer__consume(world->ring);
}

void kf_world_event_rate(struct kf_world *world, uint32_t rate)
{
	world->config->event_rate = rate;
}

int kf_world_fd(struct kf_world *world, const char *map)
{
	return strncmp(map, "kf_", 3) ? -1 : bpf_object__find_map_fd_by_name(world->xdp, map);
}

struct bpf_object *kf_world_join(struct kf_world *world, const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map;

	if (!object)
		err(1, "%s", path);
	bpf_object__for_each_map(map, object) {
		int fd = kf_world_fd(world, bpf_map__name(map));

		if (fd >= 0 && bpf_map__reuse_fd(map, fd))
			err(1, "%s", bpf_map__name(map));
	}
	if (bpf_object__load(object))
		errx(1, "%s: the kernel refuses it", path);
	return object;
}

struct kf_config *kf_world_config(const struct kf_world *world)
{
	return world->config;
}

struct kf_penalty_set *kf_world_penalties(const struct kf_world *world)
{
	return world->penalties;
}

int kf_world_program_fd(const struct kf_world *world, const char *name)
{
	return kf_world_program(strcmp(name, KF_PROGRAM_XDP) ? world->tc : world->xdp, name);
}

int kf_world_xdp(const struct kf_world *world)
{
	return world->xdp_fd;
}

uint64_t kf_world_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}
