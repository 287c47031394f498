/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sourcehash.h - the keyed hash of a source: of what kf_source_unit() makes of an address.
 *
 * It says where a source stands in kf_penalties and kf_syns. NH over the two halves of the unit
 * (RFC 4418 section 5.2), then two secret multiplications: without flow_secret nobody can choose
 * sources that share a place.
 */
#ifndef KEYFILTER_SOURCEHASH_H
#define KEYFILTER_SOURCEHASH_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>
#include <keyfilter/swar.h>

/*
 * kf_source_unit() in two loads: each packet asks. An IPv4 address has its zeros already where the
 * unit has them.
 */
KF_INLINE __u64 kf_source_unit_load(const __u8 addr[16])
{
	__u64 network = kf_swar_load(addr), host = kf_swar_load(addr + 8);

	return !network && (__u32)host == 0xffff0000 ? host : network;
}

/* Each half of the result serves as an index of its own. */
KF_INLINE __u64 kf_source_hash(const __u64 secret[8], __u64 unit)
{
	__u64 key = secret[0];
	__u64 sum = (__u64)(__u32)(unit + key) * (__u32)((unit >> 32) + (key >> 32));

	sum ^= sum >> 32;
	sum *= secret[6] | 1;
	sum ^= sum >> 29;
	sum *= secret[7] | 1;
	return sum ^ sum >> 32;
}

#endif /* KEYFILTER_SOURCEHASH_H */
