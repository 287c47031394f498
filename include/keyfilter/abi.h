/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * abi.h - what the kernel and the controller share.
 *
 * The keys, values and sizes of every pinned map, the reasons a packet is counted under, and the
 * events. Both sides compile this file; nothing here is written a second time. Times are
 * CLOCK_BOOTTIME nanoseconds unless a name says otherwise. Addresses are 16 bytes in network order,
 * IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); ports are in host order unless a name ends in
 * _be.
 *
 * Layout changelog (KF_ABI_VERSION):
 *   1  first layout
 *   2  answers, cuts, rates, penalties: kf_answers, kf_penalties and kf_syns are new; kf_config,
 *      kf_service, kf_counters, kf_flow and kf_event have new members
 *   3  kf_unread is new; kf_penalty.successes counts two windows; methods of a service
 *      (kf_service), answers by detail (kf_answers, kf_flow), empty lines (kf_flow); struct
 *      kf_http1 in kf_heads is larger;
 *      places of kf_heads keep judged bytes; reason head_timeout
 *   4  kf_groups is new; kf_slot.group; struct kf_http1 tells requests that list models
 *   5  kf_models is new; kf_slot.models, kf_group.models
 *   6  kf_flow in named parts
 *   7  content is read: kf_flow.state, struct kf_head in kf_heads, details of body_not_readable
 *   8  kf_wallets is new; kf_slot.wallet
 *   9  kf_models has the set KF_MODELS_PRICED; reason model_not_priced;
 *      struct kf_head in kf_heads
 */
#ifndef KEYFILTER_ABI_H
#define KEYFILTER_ABI_H

#include <linux/types.h>

#include "detail.h"

#define KF_ABI_VERSION 9u
#define KF_ABI_MAGIC   0x6b66696c74657231ull /* "kfilter1" */

#define KF_NEVER       ((__u64)-1) /* a time that does not come */

#ifdef __cplusplus
#define KF_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define KF_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif
#define KF_ABI_SIZE(type, size) KF_STATIC_ASSERT(sizeof(type) == (size), #type " changed its size")
#define KF_ABI_AT(type, member, offset)                                                            \
	KF_STATIC_ASSERT(__builtin_offsetof(type, member) == (offset), #type "." #member " moved")

/* ---- reasons --------------------------------------------------------------------------------- */

/*
 * Every packet to a service is counted under exactly one of these. X(symbol, name, class, status):
 * class is what becomes of the packet in enforce mode; status the HTTP status that a refusal
 * stands for, 0 where there is none.
 */
#define KF_REASONS(X)                                                                              \
	X(CONTROL, "control", PASS, 0)                                                             \
	X(ADMITTED, "admitted", PASS, 0)                                                           \
	X(HEAD_PARTIAL, "head_partial", PASS, 0)                                                   \
	X(BODY, "body", PASS, 0)                                                                   \
	X(ADOPTED, "adopted", PASS, 0)                                                             \
	X(TUNNEL, "tunnel", PASS, 0)                                                               \
	X(NO_KEY, "no_key", REFUSE, 401)                                                           \
	X(UNKNOWN_KEY, "unknown_key", REFUSE, 401)                                                 \
	X(KEY_DISABLED, "key_disabled", REFUSE, 401)                                               \
	X(KEY_EXPIRED, "key_expired", REFUSE, 401)                                                 \
	X(IP_NOT_ALLOWED, "ip_not_allowed", REFUSE, 403)                                           \
	X(PROTOCOL_NOT_ALLOWED, "protocol_not_allowed", REFUSE, 403)                               \
	X(MODEL_NOT_ALLOWED, "model_not_allowed", REFUSE, 403)                                     \
	X(KEY_EXHAUSTED, "key_exhausted", REFUSE, 429)                                             \
	X(ACCOUNT_EXHAUSTED, "account_exhausted", REFUSE, 429)                                     \
	X(RATE_LIMITED, "rate_limited", REFUSE, 429)                                               \
	X(MALFORMED, "malformed", REFUSE, 400)                                                     \
	X(HEAD_TOO_LARGE, "head_too_large", REFUSE, 431)                                           \
	X(BODY_NOT_READABLE, "body_not_readable", REFUSE, 415)                                     \
	X(SOURCE_DENIED, "source_denied", DROP, 0)                                                 \
	X(SOURCE_PENALISED, "source_penalised", DROP, 0)                                           \
	X(FLOW_REFUSED, "flow_refused", DROP, 0)                                                   \
	X(OUT_OF_ORDER, "out_of_order", DROP, 0)                                                   \
	X(NO_FLOW, "no_flow", DROP, 0)                                                             \
	X(FLOW_BUSY, "flow_busy", DROP, 0)                                                         \
	X(UNACKED, "unacked", DROP, 0)                                                             \
	X(FLOWS_FULL, "flows_full", DROP, 0)                                                       \
	X(HEADS_FULL, "heads_full", DROP, 0)                                                       \
	X(SYN_RATE, "syn_rate", DROP, 0)                                                           \
	X(HEAD_TIMEOUT, "head_timeout", REFUSE, 408)                                               \
	X(MODEL_NOT_PRICED, "model_not_priced", REFUSE, 403)

enum kf_reason {
#define X(symbol, name, class, status) KF_REASON_##symbol,
	KF_REASONS(X)
#undef X
		KF_REASON_COUNT
};

#define KF_REASON_MAX 40 /* room in the counters; a new reason does not move a map */
KF_STATIC_ASSERT(KF_REASON_COUNT <= KF_REASON_MAX, "too many reasons");

enum kf_reason_class { KF_CLASS_PASS, KF_CLASS_REFUSE, KF_CLASS_DROP };

/* ---- configuration: ARRAY of one, memory-mapped --------------------------------------------- */

#define KF_CONFIG_HOSTS	   0x1u /* kf_hosts has entries */
#define KF_CONFIG_PREFIXES 0x2u /* kf_prefixes has entries */

#define KF_DIGEST_WORDS	   128 /* 1,024 bytes are digested at a time */

struct kf_config {
	__u64 magic;		 /* KF_ABI_MAGIC, once the controller has filled the map */
	__u32 version;		 /* KF_ABI_VERSION */
	__u32 flags;		 /* KF_CONFIG_* */
	__u64 secret[2];	 /* SipHash key of the tags */
	__u64 flow_secret[8];	 /* key of the universal hash over a flow's addresses */
	__u32 cpus;		 /* the first this many entries of kf_heads are per-CPU scratch */
	__u32 heads;		 /* places for partial heads behind them */
	__u32 embryo_mask;	 /* entries of kf_embryos - 1; entries are a power of two */
	__u32 event_rate;	 /* events per second and CPU; 0: none */
	__u64 head_timeout_ns;	 /* a partial head older than this gives up its place */
	__u32 answer_mark;	 /* random, not 0: skb->mark of what we send, for our own egress */
	__u32 source_generation; /* counts changes of the deny and allow lists */
	__u32 penalty_mask;	 /* entries of kf_penalties - 1; entries are a power of two */
	__u32 syn_mask;		 /* entries of kf_syns - 1; entries are a power of two */
	__u64 reserved[2];
	__u64 digest_secret[KF_DIGEST_WORDS]; /* key of the digest over judged bytes */
};
KF_ABI_SIZE(struct kf_config, 152 + 8 * KF_DIGEST_WORDS);

/* ---- services ------------------------------------------------------------------------------- */

#define KF_SERVICES_MAX 256

/* kf_ports: ARRAY of 65536, by destination port. Zero: no service has this port. */
struct kf_port {
	__u16 any;	 /* 1 + index of the service on any address; 0: none */
	__u16 listeners; /* how many kf_listeners entries name this port */
};
KF_ABI_SIZE(struct kf_port, 4);

/* kf_listeners: HASH to a __u32 service index; services that name an address. */
struct kf_listener {
	__u8 addr[16];
	__u16 port;
	__u16 pad;
};
KF_ABI_SIZE(struct kf_listener, 20);

enum kf_mode { KF_MODE_ENFORCE, KF_MODE_MONITOR };
enum kf_refuse { KF_REFUSE_REPLY, KF_REFUSE_RESET, KF_REFUSE_DROP };

#define KF_SERVICE_WEBSOCKET 0x1u /* Upgrade: websocket may pass */
#define KF_METHODS_MAX	     4

/* kf_services: ARRAY of KF_SERVICES_MAX. */
struct kf_service {
	__u8 live;	   /* 0: this index is free */
	__u8 mode;	   /* enum kf_mode */
	__u8 refuse;	   /* enum kf_refuse */
	__u8 flags;	   /* KF_SERVICE_* */
	__u32 key_sources; /* KF_KEY_* of http1.h */
	/* penalties; in seconds */
	__u32 penalty_failures; /* so many in a window raise one; 0: never */
	__u32 penalty_window;
	__u32 penalty_time;	/* of the first one; each further one takes twice as long, */
	__u32 penalty_time_max; /* but no longer than this */
	/* SYNs of one source: GCRA, as in struct kf_slot */
	__u64 syn_interval_ns; /* 0: no limit */
	__u64 syn_burst_ns;
	__u64 reserved[3];
	/* of each method that passes beside the known ones: its text, first byte lowest, then zeros
	 */
	__u64 methods[KF_METHODS_MAX][2];
};
KF_ABI_SIZE(struct kf_service, 128);
KF_ABI_AT(struct kf_service, methods, 64);

/* kf_counters: PERCPU_ARRAY of KF_SERVICES_MAX; packets and requests of one service. */
struct kf_counters {
	__u64 packets[KF_REASON_MAX]; /* by enum kf_reason: every packet exactly once */
	__u64 requests_admitted;      /* heads, several of which may share a packet */
	__u64 requests_refused;
	__u64 replies;	      /* answers sent, those sent again not counted */
	__u64 resets;	      /* refused by RST, because the service says so */
	__u64 replies_reset;  /* refused by RST, because no reply could be made */
	__u64 replies_failed; /* refused without a word, because not even that could */
	__u64 flows_cut;      /* running requests and responses that were ended */
	__u64 penalties;      /* raised */
	__u64 reserved[2];
};
KF_ABI_SIZE(struct kf_counters, 8 * (KF_REASON_MAX + 10));

/*
 * kf_unread: PERCPU_ARRAY of one. Packets of no service that is known, dropped because they might
 * come to one all the same.
 */
enum kf_unread_why {
	KF_UNREAD_HEADERS, /* its headers cannot be read up to the ports */
	KF_UNREAD_ROUTED,  /* source-routed, to the port of a service */
	KF_UNREAD_COUNT
};

#define KF_UNREAD_MAX 8
KF_STATIC_ASSERT(KF_UNREAD_COUNT <= KF_UNREAD_MAX, "too many causes");

struct kf_unread {
	__u64 packets[KF_UNREAD_MAX]; /* by enum kf_unread_why */
};
KF_ABI_SIZE(struct kf_unread, 8 * KF_UNREAD_MAX);

/* ---- answers -------------------------------------------------------------------------------- */

/*
 * kf_answers: ARRAY, by kf_answer_index(); what a refused client is told, compiled by the
 * controller. An HTTP/1.1 response of head and body, or what a client of HTTP/2 understands; the
 * kernel fills in what differs.
 */
#define KF_ANSWER_PROTOCOLS    4   /* enum kf_protocol of http1.h fits */
#define KF_ANSWER_TEXT_MAX     984 /* with headers it fits the smallest MTU of IPv6, 1280 bytes */
#define KF_ANSWER_ID_DIGITS    16  /* request_id in lower-case hex */
#define KF_ANSWER_RETRY_DIGITS 10  /* seconds in decimal, right-aligned, spaces before */

struct kf_answer {
	__u16 len;	 /* bytes of text[]; 0: there is no answer for this */
	__u16 head_len;	 /* of these up to the end of the blank line: all that HEAD gets */
	__u16 id_off;	 /* of KF_ANSWER_ID_DIGITS bytes in the head; 0: none */
	__u16 retry_off; /* of KF_ANSWER_RETRY_DIGITS bytes in the head; 0: none */
	__u64 reserved[4];
	__u8 text[KF_ANSWER_TEXT_MAX];
};
KF_ABI_SIZE(struct kf_answer, 1024);

#define KF_DETAIL_MAX 96 /* room in the answers; a new detail does not move a map */
KF_STATIC_ASSERT(KF_DETAIL_COUNT <= KF_DETAIL_MAX, "too many details");

/* A row for each reason, and behind them one for each detail of the two that have some. */
#define KF_ANSWER_ROWS (KF_REASON_MAX + KF_DETAIL_MAX)
#define KF_ANSWERS_MAX (KF_ANSWER_ROWS * KF_ANSWER_PROTOCOLS)

/* The reason that @detail is one of. */
static __inline__ __u32 kf_detail_reason(__u32 detail)
{
	return detail >= KF_DETAIL_BODY_EMPTY && detail <= KF_DETAIL_BODY_COUNT
		       ? KF_REASON_BODY_NOT_READABLE
		       : KF_REASON_MALFORMED;
}

static __inline__ __u32 kf_answer_index(__u32 reason, __u32 detail, __u32 protocol)
{
	__u32 row = detail && reason == kf_detail_reason(detail) ? KF_REASON_MAX + detail : reason;

	return row * KF_ANSWER_PROTOCOLS + (protocol & (KF_ANSWER_PROTOCOLS - 1));
}

/* ---- sources -------------------------------------------------------------------------------- */

/* kf_prefixes: LPM_TRIE; prefix_len counts the bits of addr, so that IPv4 /8 is 96 + 8. */
struct kf_prefix {
	__u32 prefix_len;
	__u8 addr[16];
};
KF_ABI_SIZE(struct kf_prefix, 20);

/*
 * Value of kf_hosts (HASH by 16-byte address: the /32 and /128 entries) and kf_prefixes. A look-up
 * returns the longest match only, so the controller writes effective times: the latest of the entry
 * itself and of every prefix that covers it. An allowed source is exempt from deny and penalty.
 */
struct kf_source {
	__u64 allow_until; /* 0: not allowed, KF_NEVER: for good */
	__u64 deny_until;
};
KF_ABI_SIZE(struct kf_source, 16);

/*
 * What counts as one source for penalties and SYN rates: an IPv4 address or an IPv6 /64, as the 8
 * bytes of its network part, first byte lowest. IPv4 a.b.c.d stands under 0:ffff:aabb:ccdd::/64,
 * which is nobody's (RFC 4291 section 2.4: 0000::/8 is reserved).
 */
static __inline__ __u64 kf_source_unit(const __u8 addr[16])
{
	__u64 unit = 0;

	if (!(addr[0] | addr[1] | addr[2] | addr[3] | addr[4] | addr[5] | addr[6] | addr[7] |
	      addr[8] | addr[9]) &&
	    addr[10] == 0xff && addr[11] == 0xff)
		__builtin_memcpy((__u8 *)&unit + 2, addr + 10, 6);
	else
		__builtin_memcpy(&unit, addr, 8);
	return unit;
}

/*
 * kf_penalties: ARRAY of sets, memory-mapped, by the keyed hash of the source. No source that is
 * penalised now is ever displaced; where all places of a set are taken a new source is not counted.
 */
struct kf_penalty {
	__u64 unit;	 /* kf_source_unit(); 0: free; KF_PENALTY_GIVING: becoming another's */
	__u64 until_ns;	 /* penalised until then; 0: never was */
	__u32 window;	 /* when the counts below began; CLOCK_BOOTTIME >> 30, about seconds */
	__u32 failures;	 /* in this window */
	__u32 successes; /* requests admitted, of two windows; see penaltystate.h */
	__u16 level;	 /* penalties in a row: each takes twice as long */
	__u8 service;	 /* that raised the last one */
	__u8 pad;
};
KF_ABI_SIZE(struct kf_penalty, 32);

/*
 * Stands for a source in a place that is being given away, which locks the set: the addresses
 * ffff:ffff:ffff:ffff::/64 are multicast and no client's (RFC 4291 section 2.7).
 */
#define KF_PENALTY_GIVING ((__u64)-1)

#define KF_PENALTY_WAYS	  4

struct kf_penalty_set {
	struct kf_penalty ways[KF_PENALTY_WAYS];
};

/* kf_syns: ARRAY of __u64, by two keyed hashes of the source: GCRA theoretical arrival times. */

/* ---- keys ----------------------------------------------------------------------------------- */

enum kf_key_status { KF_KEY_FREE, KF_KEY_ENABLED, KF_KEY_DISABLED, KF_KEY_DELETED };

#define KF_KEY_HAS_ALLOWLIST 0x1u /* kf_key_allow names the addresses it may come from */

/*
 * kf_slots: ARRAY, memory-mapped; found through kf_tags (HASH, 16-byte tag to __u32 slot). The
 * controller writes the first half, the kernel the second. Revoking is one aligned store to status.
 */
struct kf_slot {
	__u8 tag[16];		/* whose record this is; the kernel compares it */
	__u32 status;		/* enum kf_key_status */
	__u32 flags;		/* KF_KEY_HAS_ALLOWLIST */
	__u64 expires_ns;	/* refused from this nanosecond on; KF_NEVER */
	__u64 rate_interval_ns; /* of one request at the key's rate; 0: no limit */
	__u64 rate_burst_ns;	/* how far ahead of its rate a key may be: interval * (burst - 1) */
	__u32 rate_slot;	/* whose rate_tat_ns counts: a rotated key's secrets share one */
	__u32 group;		/* its record in kf_groups; 0: it is in none */
	__u32 models;		/* it may call those of this set; 0: all */
	__u32 wallet;		/* it draws on this one of kf_wallets; 0: on none */
	__u64 requests_admitted;
	__u64 requests_refused;
	__u64 last_used_ns; /* of the last admitted request; 0: never */
	__u64 rate_tat_ns;  /* GCRA: the theoretical arrival time of the next request */
	__u64 kernel_reserved[4];
};
KF_ABI_SIZE(struct kf_slot, 128);
KF_ABI_AT(struct kf_slot, requests_admitted, 64);

/*
 * kf_groups: ARRAY, memory-mapped, by kf_slot.group; what the keys of a group may use. So one store
 * changes a group for all its keys, however many they are, and costs their requests one load.
 */
#define KF_GROUPS_MAX 4096 /* the first one is nobody's */

struct kf_group {
	__u32 protocols; /* 1 << enum kf_protocol of http1.h; 0: none */
	__u32 models;	 /* as in struct kf_slot */
	__u64 reserved[7];
};
KF_ABI_SIZE(struct kf_group, 64);

/*
 * kf_models: HASH to __u8 1. The models of each set that slots and groups name, resolved: patterns
 * are the controller's. Equal sets are one set, however many keys have it.
 */
#define KF_MODELS_MAX	 65536	     /* in all sets together */
#define KF_MODELS_PRICED 0xffffffffu /* the set of those that keys with a wallet may call */

struct kf_set_model {
	__u32 set; /* 1 and above */
	__u32 pad;
	__u8 tag[16]; /* kf_keyhash() of the model's name */
};
KF_ABI_SIZE(struct kf_set_model, 24);

/*
 * kf_wallets: ARRAY, memory-mapped, by kf_slot.wallet: what may be spent. A key with a quota has
 * one, and so has an account with a balance. Amounts are micro-units. The controller writes limit,
 * parent and reason; limit is whole whenever it is written, so that writing it twice does no harm.
 */
#define KF_UNLIMITED	 0x7fffffffffffffffll
#define KF_WALLETS_CHAIN 4 /* wallets in a row: more are taken for used up */

struct kf_wallet {
	__s64 limit;  /* may be taken in all; KF_UNLIMITED */
	__u64 taken;  /* by admitted requests, ever; the kernel's, and only grows */
	__u32 parent; /* is drawn on, too; 0: none */
	__u32 reason; /* enum kf_reason: what a request is refused for when it is used up */
	__u64 reserved[5];
};
KF_ABI_SIZE(struct kf_wallet, 64);

/* kf_key_allow: LPM_TRIE to __u8 1; prefix_len is 32 (the slot) + the bits of addr. */
struct kf_key_prefix {
	__u32 prefix_len;
	__u32 slot;
	__u8 addr[16];
};
KF_ABI_SIZE(struct kf_key_prefix, 24);

/* ---- flows ---------------------------------------------------------------------------------- */

#include "abi_flow.h"

/* ---- events --------------------------------------------------------------------------------- */

enum kf_event_kind {
	KF_EVENT_REFUSED, /* a packet or a request */
	KF_EVENT_CUT,	  /* a running request or response */
	KF_EVENT_PENALTY, /* a source is penalised from now on, for retry_after seconds */
};

/* kf_events: RINGBUF. One refusal, or one note about a flow or a source. */
struct kf_event {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u8 client[16];
	__u8 server[16];
	__u16 client_port;
	__u16 server_port;
	__u32 ifindex;
	__u32 slot;  /* KF_SLOT_NONE where no key was known */
	__u8 reason; /* enum kf_reason */
	__u8 detail; /* enum kf_detail of http1.h, of malformed */
	__u8 service;
	__u8 monitor;	   /* 1: counted and passed */
	__u64 request_id;  /* that the client was told; 0: none */
	__u32 retry_after; /* seconds */
	__u8 kind;	   /* enum kf_event_kind */
	__u8 pad[3];
};
KF_ABI_SIZE(struct kf_event, 72);

/* kf_event_rate: PERCPU_ARRAY of one; a token bucket, and what it and the full ring cost. */
struct kf_event_rate {
	__u64 refilled_ns;
	__u64 tokens;
	__u64 suppressed; /* over the rate */
	__u64 lost;	  /* no room in the ring */
};
KF_ABI_SIZE(struct kf_event_rate, 32);

/* ---- maps ----------------------------------------------------------------------------------- */

/* Every pinned map, for the controller's loops: X(name). Defined in bpf/maps.bpf.h. */
#define KF_MAPS(X)                                                                                 \
	X(kf_config)                                                                               \
	X(kf_ports)                                                                                \
	X(kf_listeners)                                                                            \
	X(kf_services)                                                                             \
	X(kf_counters)                                                                             \
	X(kf_hosts)                                                                                \
	X(kf_prefixes)                                                                             \
	X(kf_tags)                                                                                 \
	X(kf_slots)                                                                                \
	X(kf_key_allow)                                                                            \
	X(kf_groups)                                                                               \
	X(kf_wallets)                                                                              \
	X(kf_models)                                                                               \
	X(kf_flows)                                                                                \
	X(kf_embryos)                                                                              \
	X(kf_heads)                                                                                \
	X(kf_events)                                                                               \
	X(kf_event_rate)                                                                           \
	X(kf_answers)                                                                              \
	X(kf_penalties)                                                                            \
	X(kf_syns)                                                                                 \
	X(kf_unread)

/* Names of the programs in keyfilter_xdp.bpf.o and keyfilter_tc.bpf.o. */
#define KF_PROGRAM_XDP	   "keyfilter_xdp"
#define KF_PROGRAM_INGRESS "keyfilter_in"
#define KF_PROGRAM_EGRESS  "keyfilter_out"
#define KF_PROGRAM_ANSWER  "keyfilter_answer" /* on TC ingress, behind XDP */

/*
 * What XDP wants answered it hands to KF_PROGRAM_ANSWER with this EtherType in the place of IP's
 * (IEEE 802, local experimental 1): a stack that meets it does not know it and drops it.
 */
#define KF_ETHERTYPE_ANSWER 0x88b5

#endif /* KEYFILTER_ABI_H */
