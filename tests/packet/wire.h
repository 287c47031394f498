/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wire.h - a veth pair in a network namespace of the test's own.
 *
 * What the programs send under BPF_PROG_TEST_RUN leaves by it and is caught here. For what a test
 * run cannot show (checksums left to hardware, tags beside the frame, the way from XDP to TC) the
 * programs are attached, and a frame is sent to them from the other end. Whatever the kernel
 * refuses ends the test with a message.
 */
#ifndef KF_TESTS_PACKET_WIRE_H
#define KF_TESTS_PACKET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "world.h"

struct kf_wire;

/* A frame that crossed the interface. */
struct kf_sent {
	bool out;     /* sent; otherwise received */
	bool partial; /* the TCP checksum is left to the hardware */
	size_t len;
	uint8_t frame[KF_FRAME_MAX];
};

struct kf_wire *kf_wire_new(void); /* enters a new network namespace, for good */
void kf_wire_free(struct kf_wire *wire);
unsigned int kf_wire_ifindex(const struct kf_wire *wire);

/* The next frame, in at most @wait_ms. */
bool kf_wire_next(struct kf_wire *wire, int wait_ms, struct kf_sent *sent);

enum kf_wire_mode { KF_WIRE_TC, KF_WIRE_GENERIC, KF_WIRE_NATIVE };

/* Sends @frame to the programs, attached as in @mode; @l4: where its TCP header is, if @partial. */
void kf_wire_send(struct kf_wire *wire, struct kf_world *world, enum kf_wire_mode mode,
		  const uint8_t *frame, size_t len, bool partial, size_t l4);

#endif
