/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flowhash.h - the keyed hash of a flow's addresses and ports.
 *
 * Both sides compute it: the kernel for the handshake table and to recognise a flow whose map
 * element was reused meanwhile, the controller when it adopts a connection. NH over 32-bit words
 * (RFC 4418 section 5.2) under the installation's flow_secret: a client that does not know the
 * secret cannot choose addresses that collide.
 */
#ifndef KEYFILTER_FLOWHASH_H
#define KEYFILTER_FLOWHASH_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>

KF_STATIC_ASSERT(sizeof(struct kf_flow_key) == 40, "kf_flow_hash reads ten words");

typedef __u32 __attribute__((may_alias)) kf_word; /* reads structs as words */

/* Never 0: that is the cookie of an empty place. */
KF_INLINE __u64 kf_flow_hash(const __u64 secret[8], const struct kf_flow_key *key)
{
	const kf_word *word = (const kf_word *)key;
	const kf_word *nh = (const kf_word *)secret;
	__u64 sum = 0;

#pragma GCC unroll 5
	for (int i = 0; i < 10; i += 2)
		sum += (__u64)(__u32)(word[i] + nh[i]) * (__u32)(word[i + 1] + nh[i + 1]);

	/* spread it, so that any bits serve as an index */
	sum ^= sum >> 32;
	sum *= secret[6] | 1;
	sum ^= sum >> 29;
	sum *= secret[7] | 1;
	sum ^= sum >> 32;
	return sum ? sum : 1;
}

#endif /* KEYFILTER_FLOWHASH_H */
