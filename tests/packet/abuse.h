/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * abuse.h - what the tests of penalties and SYN rates set, look at and put back in time.
 *
 * Works on the maps of a world, as the controller does: the places of kf_penalties are
 * memory-mapped. Addresses are 16 bytes, as in abi.h. Whatever the kernel refuses ends the test
 * with a message.
 */
#ifndef KF_TESTS_PACKET_ABUSE_H
#define KF_TESTS_PACKET_ABUSE_H

#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/abi.h>

#include "world.h"

/* The service raises penalties from now on, and refuses without a word. Times in seconds. */
void kf_abuse_penalty(struct kf_world *world, uint32_t failures, uint32_t window, uint32_t time,
		      uint32_t time_max);
/* And lets so many SYNs of a source pass; no cell holds anything. */
void kf_abuse_syn_rate(struct kf_world *world, uint64_t interval_ns, uint64_t burst);

/* The first place of @addr's source, NULL where it has none; and how many it has. */
struct kf_penalty *kf_abuse_place(struct kf_world *world, const uint8_t addr[16]);
unsigned int kf_abuse_places(struct kf_world *world, const uint8_t addr[16]);
bool kf_abuse_in_force(const struct kf_penalty *place);

/* @n places of @addr's set go to strangers that are penalised for @seconds. */
void kf_abuse_crowd(struct kf_world *world, const uint8_t addr[16], unsigned int n,
		    uint32_t seconds);
/* How many of these strangers are penalised still. */
unsigned int kf_abuse_strangers(struct kf_world *world);

void kf_abuse_age(struct kf_world *world, uint32_t seconds); /* lets time pass for all places */
void kf_abuse_forgive(struct kf_world *world);		     /* everybody, as the controller does */
void kf_abuse_penalise(struct kf_world *world, const uint8_t addr[16], uint32_t seconds);
uint64_t kf_abuse_raised(struct kf_world *world); /* kf_counters.penalties of the service */

#endif
