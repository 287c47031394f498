/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * raw.h - the steps of a case for headers that are written out: one sends an IP packet, the other
 * one looks at the TCP options of the frame that left, and at its checksums.
 *
 *   raw [FIELD=VALUE ...] "DATA" => pass|drop|untouched REASON [DETAIL]
 *   options HEX [partial]
 *
 * DATA is what stands behind the fixed IP header and its options. FIELDs: next=N is the protocol,
 * or the next header; frag=HEX the word of flags and offset, and opts=HEX the options, of IPv4;
 * behind=N: the last N bytes of DATA stand in the frame, but behind the IP packet; to=HOST is the
 * last byte of the address it is for.
 */
#ifndef KF_TESTS_PACKET_RAW_H
#define KF_TESTS_PACKET_RAW_H

#include "case.h"

void kf_step_raw(struct kf_case *c, const char *at);
void kf_step_options(struct kf_case *c, const char *at);

#endif
