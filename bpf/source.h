/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * source.h - stage 3: may this address talk to services at all?
 *
 * Exact addresses in a hash first, prefixes in a trie second, neither where the controller says
 * that there are none. Deadlines are effective ones (see struct kf_source), so the first hit
 * decides; they run out here, without the controller.
 */
#ifndef KEYFILTER_SOURCE_H
#define KEYFILTER_SOURCE_H

#include <keyfilter/sourcestate.h>

#include "maps.bpf.h"
#include "packet.h"

static __always_inline struct kf_source *kf_source_find(const __u8 *addr, __u32 flags)
{
	struct kf_prefix prefix = { .prefix_len = 128 };
	struct kf_source *source;

	__builtin_memcpy(prefix.addr, addr, sizeof(prefix.addr));
	if (flags & KF_CONFIG_HOSTS) {
		source = bpf_map_lookup_elem(&kf_hosts, prefix.addr);
		if (source)
			return source;
	}
	return flags & KF_CONFIG_PREFIXES ? bpf_map_lookup_elem(&kf_prefixes, &prefix) : NULL;
}

/* The time, where it matters. */
static __always_inline __u64 kf_source_now(const struct kf_source *source)
{
	return kf_sourcestate_is_timed(source->allow_until) ||
			       kf_sourcestate_is_timed(source->deny_until)
		       ? bpf_ktime_get_boot_ns()
		       : 0;
}

/* Asked where it seldom matters, so it stays out of the way and the stack of its callers. */
static __noinline bool kf_source_is_allowed(const struct kf_packet *p,
					    const struct kf_config *config)
{
	struct kf_source *source;

	if (!(config->flags & (KF_CONFIG_HOSTS | KF_CONFIG_PREFIXES)))
		return false;
	source = kf_source_find(p->key.client, config->flags);
	return source && kf_sourcestate_is_allowed(source, kf_source_now(source));
}

static __always_inline bool kf_source_is_denied(const struct kf_packet *p,
						const struct kf_config *config)
{
	struct kf_source *source;

	if (!(config->flags & (KF_CONFIG_HOSTS | KF_CONFIG_PREFIXES)))
		return false;
	source = kf_source_find(p->key.client, config->flags);
	return source && kf_sourcestate_is_denied(source, kf_source_now(source));
}

#endif /* KEYFILTER_SOURCE_H */
