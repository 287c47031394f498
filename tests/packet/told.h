/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * told.h - the steps of a case that say what both ends of a refused connection hear.
 *
 * The expected frame is built by frame.c and compared byte by byte: tags, addresses, lengths,
 * numbers, flags, options, checksums. Where the service does not drop silently every frame must be
 * expected by a step before the next one is sent.
 */
#ifndef KF_TESTS_PACKET_TOLD_H
#define KF_TESTS_PACKET_TOLD_H

#include "case.h"

/* Around a frame sent: what the last one led to is settled; this one led to c->ran. */
void kf_told_before(struct kf_case *c, const struct kf_frame_spec *spec);
void kf_told_after(struct kf_case *c);
void kf_told_settle(struct kf_case *c);

void kf_step_answers(struct kf_case *c, const char *at);
void kf_step_acks(struct kf_case *c, const char *at);
void kf_step_resets(struct kf_case *c, const char *at);
void kf_step_wire(struct kf_case *c, const char *at);
void kf_step_aged(struct kf_case *c, const char *at);

#endif
