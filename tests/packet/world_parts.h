/* SPDX-License-Identifier: GPL-2.0-only */
/* world_parts.h - what the files of world.h share. */
#ifndef KF_TESTS_PACKET_WORLD_PARTS_H
#define KF_TESTS_PACKET_WORLD_PARTS_H

#include "world.h"

struct kf_world {
	struct bpf_object *xdp;
	struct bpf_object *tc;
	int xdp_fd, in_fd, out_fd, answer_fd;
	unsigned int ifindex;
	bool no_answers;
	struct kf_config *config;
	struct kf_slot *slots;
	struct kf_group *groups;
	struct kf_wallet *wallets;
	struct kf_penalty_set *penalties;
	struct ring_buffer *ring;
	struct kf_ran *ran; /* where events go */
	char key[52];
};

int kf_world_map(struct kf_world *world, const char *name);
/* Both end the test where they fail. */
void kf_world_put(struct kf_world *world, const char *map, const void *key, const void *value);
void kf_world_fill_answers(struct kf_world *world); /* world_answers.c */

#endif
