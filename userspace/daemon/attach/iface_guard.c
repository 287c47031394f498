// SPDX-License-Identifier: GPL-2.0-only
#include "attach/iface_guard.h"

#define NS_PER_S 1000000000ull

/* 0, 1, 2, 4, ... seconds. */
static uint64_t delay(unsigned int lost)
{
	uint64_t seconds = lost < 2 ? 0 : lost > 8 ? KF_IFACE_GUARD_REST_S : 1ull << (lost - 2);

	return (seconds < KF_IFACE_GUARD_REST_S ? seconds : KF_IFACE_GUARD_REST_S) * NS_PER_S;
}

void kf_attach_iface_guard_lose(struct kf_attach_iface_guard *guard, uint64_t now)
{
	if (now - guard->lost_ns > KF_IFACE_GUARD_CALM_S * NS_PER_S)
		guard->lost = 0;
	guard->lost++;
	guard->lost_ns = now;
	guard->next_ns = now + delay(guard->lost);
	guard->off = true;
}

void kf_attach_iface_guard_fail(struct kf_attach_iface_guard *guard, uint64_t now)
{
	guard->failed++;
	guard->next_ns = now + delay(guard->failed + 1); /* the first try was at once */
	guard->off = true;
}

void kf_attach_iface_guard_restore(struct kf_attach_iface_guard *guard)
{
	guard->off = false;
	guard->failed = 0;
}

void kf_attach_iface_guard_forget(struct kf_attach_iface_guard *guard)
{
	*guard = (struct kf_attach_iface_guard){ 0 };
}

bool kf_attach_iface_guard_is_due(const struct kf_attach_iface_guard *guard, uint64_t now)
{
	return guard->off && now >= guard->next_ns;
}

bool kf_attach_iface_guard_is_fight(const struct kf_attach_iface_guard *guard, uint64_t now)
{
	return guard->lost > 1 && now - guard->lost_ns <= KF_IFACE_GUARD_CALM_S * NS_PER_S;
}

unsigned int kf_attach_iface_guard_wait(const struct kf_attach_iface_guard *guard, uint64_t now)
{
	if (now >= guard->next_ns)
		return 0;
	return (unsigned int)((guard->next_ns - now + NS_PER_S - 1) / NS_PER_S);
}
