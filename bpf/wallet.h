/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * wallet.h - a part of stage 7: is there money left for the key's requests?
 *
 * The slot names a wallet, that of the key's quota or else of its account, and a wallet the next
 * one. A key that draws on none pays one load.
 */
#ifndef KEYFILTER_WALLET_H
#define KEYFILTER_WALLET_H

#include "maps.bpf.h"

/* Is there anything left in each wallet that @slot draws on? KF_REASON_ADMITTED or why not. */
static __always_inline int kf_wallet_judge(const struct kf_slot *slot)
{
	__u32 index = *(volatile __u32 *)&slot->wallet;
	struct kf_wallet *wallet;

#pragma clang loop unroll(disable)
	for (int i = 0; index && i < KF_WALLETS_CHAIN; i++) {
		wallet = bpf_map_lookup_elem(&kf_wallets, &index);
		if (!wallet)
			return KF_REASON_ACCOUNT_EXHAUSTED;
		if (*(volatile __s64 *)&wallet->limit <= (__s64) * (volatile __u64 *)&wallet->taken)
			return wallet->reason == KF_REASON_KEY_EXHAUSTED
				       ? KF_REASON_KEY_EXHAUSTED
				       : KF_REASON_ACCOUNT_EXHAUSTED;
		index = *(volatile __u32 *)&wallet->parent;
	}
	return index ? KF_REASON_ACCOUNT_EXHAUSTED : KF_REASON_ADMITTED;
}

#endif /* KEYFILTER_WALLET_H */
