/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * maps.bpf.h - every map of the data path, defined once for both objects.
 *
 * The controller creates and pins them (userspace/daemon/maps/open.c) with the sizes of its
 * settings; the programs are loaded against the pins. max_entries below are what a load without a
 * controller gets (the packet tests). Only kf_flows is written by packets and sized by connections;
 * it is preallocated, as nothing on the packet path allocates.
 */
#ifndef KEYFILTER_MAPS_BPF_H
#define KEYFILTER_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <keyfilter/abi.h>
#include <keyfilter/body.h>
#include <keyfilter/http1.h>

#define KF_PAGES 256 /* of 16 KiB, of one request: more is not in flight; a power of two */

/*
 * kf_heads: ARRAY. The first config.cpus places are scratch, one a CPU; those behind hold the bytes
 * of flows: heads that come in pieces, and what was judged and is not acknowledged (kept.h). One
 * map for both, so that the reader is verified for one kind of pointer.
 */
struct kf_head {
	__u64 owner;	   /* cookie of the flow; of a scratch place enum kf_scratch_use */
	__u64 deadline_ns; /* CLOCK_MONOTONIC_COARSE; 0: free; KF_HEAD_MOVING: changing hands */
	__u32 len;	   /* bytes of a head in buf, and of the content behind it, see pages.h; */
	__u32 seq;	   /* the first of which has this number */
	__u32 segments;
	__u32 frames_first; /* chunk framing, see frames.h */
	__u32 frames_next;
	__u32 neutral;	  /* 1: its `Upgrade` was neutralised in an earlier segment */
	__u32 ahead_from; /* bytes from here in buf */
	__u32 ahead_to;	  /* to here came before a gap in front of them, see ahead.h; 0: none */
	struct kf_http1 http1;
	struct kf_body body; /* of content that is read, see content.h */
	__u64 named[2];	     /* tag of the model that the path named, as Gemini's bodies name it */
	__u64 content;	     /* bytes that follow of it, or of its chunk */
	__u32 content_state; /* KF_CONTENT_* */
	__u32 pages_first;   /* the first page that may be in pages[] */
	__u32 pages_end;     /* behind the last one */
	__u32 pages[KF_PAGES]; /* places of kf_heads, by number of the page; 0: none */
	__u8 buf[KF_HTTP1_BUFFER];
};

#define KF_HEAD_MOVING 1 /* of deadline_ns */

/* An address or a tag, as a key. */
struct kf_bytes16 {
	__u8 bytes[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_config);
} kf_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct kf_port);
} kf_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KF_SERVICES_MAX);
	__type(key, struct kf_listener);
	__type(value, __u32);
} kf_listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KF_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct kf_service);
} kf_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KF_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct kf_counters);
} kf_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_unread);
} kf_unread SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kf_bytes16);
	__type(value, struct kf_source);
} kf_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kf_prefix);
	__type(value, struct kf_source);
} kf_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kf_bytes16);
	__type(value, __u32);
} kf_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_slot);
} kf_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kf_key_prefix);
	__type(value, __u8);
} kf_key_allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KF_GROUPS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_group);
} kf_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_wallet);
} kf_wallets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KF_MODELS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kf_set_model);
	__type(value, __u8);
} kf_models SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct kf_flow_key);
	__type(value, struct kf_flow);
} kf_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct kf_embryo);
} kf_embryos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct kf_head);
} kf_heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} kf_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_event_rate);
} kf_event_rate SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KF_ANSWERS_MAX);
	__type(key, __u32);
	__type(value, struct kf_answer);
} kf_answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_penalty_set);
} kf_penalties SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} kf_syns SEC(".maps");

/*
 * @len, which is 1 to @most, in words that the verifier of Linux 6.1 follows: it learns no lower
 * bound from a comparison with 0, and clang makes one comparison of two. @most is a power of two.
 */
static __always_inline __u32 kf_length(__u32 len, __u32 most)
{
	len -= 1;
	KF_LAUNDER(len);
	return (len & (most - 1)) + 1;
}

#define KF_NSEC_PER_SEC 1000000000ull

static __always_inline struct kf_config *kf_config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kf_config, &zero);
}

static __always_inline struct kf_head *kf_head_at(__u32 place)
{
	return bpf_map_lookup_elem(&kf_heads, &place);
}

/*
 * What a CPU's scratch place holds. Each use overwrites the one before it; a stage that goes on
 * with what it has put there asks whether it still is there (kf_head_scratch_of()). The use is
 * enough, without the packet: whatever is asked for was put there earlier for the same packet
 * (kf_walk.loaded is 0 until then), and no other packet comes to the CPU in between.
 */
enum kf_scratch_use {
	KF_SCRATCH_REQUEST = 1, /* a head, or the framing of chunks */
	KF_SCRATCH_RESPONSE,
	KF_SCRATCH_COMPARED, /* bytes of a segment that repeats judged ones */
	KF_SCRATCH_DIGESTED,
	KF_SCRATCH_SUMMED,
	KF_SCRATCH_TURNED, /* struct kf_turn_image */
};

/* The place, for @use from now on. */
static __always_inline struct kf_head *kf_head_scratch(enum kf_scratch_use use)
{
	struct kf_head *scratch = kf_head_at(bpf_get_smp_processor_id());

	if (scratch)
		scratch->owner = use;
	return scratch;
}

/* The same with what @use has put there; NULL where something else has been there since. */
static __always_inline struct kf_head *kf_head_scratch_of(enum kf_scratch_use use)
{
	struct kf_head *scratch = kf_head_at(bpf_get_smp_processor_id());

	return scratch && scratch->owner == use ? scratch : NULL;
}

#endif /* KEYFILTER_MAPS_BPF_H */
