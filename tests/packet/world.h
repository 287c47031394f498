/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * world.h - the data path on a bench: both objects loaded, small maps, one service, one key.
 *
 * The programs run through BPF_PROG_TEST_RUN, on no interface. A world is made once and reset for
 * each case. Whatever the kernel refuses ends the test with a message.
 */
#ifndef KF_TESTS_PACKET_WORLD_H
#define KF_TESTS_PACKET_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keyfilter/abi.h>

enum kf_hook { KF_HOOK_XDP, KF_HOOK_TC };

struct bpf_object;
struct kf_world;

struct kf_ran {
	bool passed;
	int reason; /* enum kf_reason counted, -1: none, -2: more than one; KF_RAN_UNREAD_* */
	int event;  /* enum kf_reason of the event sent, -1: none */
	int detail;
	uint64_t request_id; /* of that event */
	bool handed;	     /* XDP left it to kf_answer() */
	bool redirected;     /* the frame goes through ingress again */
	uint32_t penalty;    /* seconds of the penalty that an event told; 0: none */
	size_t len;	     /* of the frame as it left */
	uint8_t frame[4096];
};

/* Counted, under enum kf_unread_why. */
#define KF_RAN_UNREAD_HEADERS (-3)
#define KF_RAN_UNREAD_ROUTED  (KF_RAN_UNREAD_HEADERS - 1)

#define KF_WORLD_SLOT	      7 /* where the good key lives, and behind it a second one: */
#define KF_WORLD_SECOND	      "sk-222222222222222222222222222222222222222222222222"

struct kf_world *kf_world_new(const char *object_dir);
void kf_world_free(struct kf_world *world);
/*
 * Empties every map; the service is any:8000 in @mode with @flags, the good key enabled. Refusals
 * are silent, and all of kf_answers is filled.
 */
void kf_world_reset(struct kf_world *world, enum kf_mode mode, uint8_t flags, uint32_t key_sources);
void kf_world_ingress(struct kf_world *world, enum kf_hook hook, const uint8_t *frame, size_t len,
		      struct kf_ran *out);
void kf_world_egress(struct kf_world *world, const uint8_t *frame, size_t len, struct kf_ran *out);
/* What was handed over by XDP, or pretends to be. */
void kf_world_answer(struct kf_world *world, const uint8_t *frame, size_t len, struct kf_ran *out);

void kf_world_refuse(struct kf_world *world, enum kf_refuse refuse);
void kf_world_no_answers(struct kf_world *world); /* kf_answers is empty */
/* The flow's answer was sent @ms ago, and first @seconds ago; its client sent @bytes since. */
void kf_world_answer_age(struct kf_world *world, uint32_t ms, uint32_t seconds, uint32_t bytes);
/* Where TC sends frames to; without, in this network namespace's loopback. */
void kf_world_interface(struct kf_world *world, unsigned int ifindex);
/*
 * The text of the answer for @reason and @protocol, of which kf_world_text_head() bytes are head.
 */
size_t kf_world_text(int reason, int detail, int protocol, uint64_t id, uint32_t retry,
		     char text[static 1024]);
size_t kf_world_text_head(int reason);

const char *kf_world_key(const struct kf_world *world); /* 51 characters */
struct kf_slot *kf_world_slot(struct kf_world *world);	/* memory-mapped */
void kf_world_allow(struct kf_world *world, const uint8_t addr[16], unsigned int bits);
void kf_world_group(struct kf_world *world, uint32_t group, uint32_t protocols);
void kf_world_wallet(struct kf_world *world, uint32_t wallet, const struct kf_wallet *value);
void kf_world_group_models(struct kf_world *world, uint32_t group, uint32_t set);
void kf_world_model(struct kf_world *world, uint32_t set, const char *name); /* is in the set */
void kf_world_source(struct kf_world *world, const uint8_t addr[16], unsigned int bits,
		     const struct kf_source *value);
void kf_world_listen(struct kf_world *world, const uint8_t addr[16]); /* instead of any */
void kf_world_heads(struct kf_world *world, unsigned int places);
void kf_world_flow_state(struct kf_world *world, enum kf_flow_state state);
unsigned int kf_world_flows(struct kf_world *world);

/* Memory-mapped. The sets are kf_config.penalty_mask + 1. */
struct kf_config *kf_world_config(const struct kf_world *world);
struct kf_penalty_set *kf_world_penalties(const struct kf_world *world);

void kf_world_events(struct kf_world *world, struct kf_ran *out); /* since the last run */
void kf_world_event_rate(struct kf_world *world, uint32_t rate);

/* For the benchmarks: a map's descriptor (-1: no such map), the XDP program's. */
int kf_world_fd(struct kf_world *world, const char *map);
/* Loads another object over the maps of this world; the caller's to close. */
struct bpf_object *kf_world_join(struct kf_world *world, const char *path);
int kf_world_xdp(const struct kf_world *world);
int kf_world_program_fd(const struct kf_world *world, const char *name); /* of KF_PROGRAM_* */
uint64_t kf_world_now(void);						 /* CLOCK_BOOTTIME */

#endif
