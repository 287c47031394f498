// SPDX-License-Identifier: GPL-2.0-only
/* kf_wallets, memory-mapped: what keys and accounts may spend. */
#include <stddef.h>

#include "maps/open.h"

static struct kf_wallet *wallet_at(const struct kf_maps *maps, uint32_t wallet)
{
	return wallet && wallet < maps->spec[KF_MAP_kf_wallets].max_entries ? &maps->wallets[wallet]
									    : NULL;
}

const struct kf_wallet *kf_maps_wallet(const struct kf_maps *maps, uint32_t wallet)
{
	return wallet_at(maps, wallet);
}

void kf_maps_wallet_write(struct kf_maps *maps, uint32_t wallet, const struct kf_wallet *want)
{
	struct kf_wallet *to = wallet_at(maps, wallet);

	if (!to)
		return;
	if (want->limit < to->limit)
		__atomic_store_n(&to->limit, want->limit, __ATOMIC_RELEASE);
	__atomic_store_n(&to->reason, want->reason, __ATOMIC_RELEASE);
	__atomic_store_n(&to->parent, want->parent, __ATOMIC_RELEASE);
	__atomic_store_n(&to->limit, want->limit, __ATOMIC_RELEASE);
}

void kf_maps_wallet_clear(struct kf_maps *maps, uint32_t wallet)
{
	struct kf_wallet *to = wallet_at(maps, wallet);

	if (!to)
		return;
	__atomic_store_n(&to->limit, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&to->parent, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&to->taken, 0, __ATOMIC_RELEASE);
}
