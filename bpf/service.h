/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * service.h - stage 2: is the segment for a service?
 *
 * The port decides for nearly every packet of the host: one load from an array. Only a port that
 * some service has leads to a look-up by address.
 */
#ifndef KEYFILTER_SERVICE_H
#define KEYFILTER_SERVICE_H

#include "maps.bpf.h"
#include "packet.h"

static __always_inline struct kf_service *kf_service_at(__u32 index)
{
	struct kf_service *service = bpf_map_lookup_elem(&kf_services, &index);

	return service && service->live ? service : NULL;
}

/* Has any service this port, on whatever address? */
static __always_inline bool kf_service_has_port(__u16 port)
{
	__u32 at = port;
	struct kf_port *entry = bpf_map_lookup_elem(&kf_ports, &at);

	return entry && (entry->any | entry->listeners);
}

/* A service that names the address comes before one on any address. */
static __always_inline struct kf_service *kf_service_find(const void *addr, bool ipv6, __u16 port,
							  __u8 *index)
{
	__u32 at = port;
	struct kf_port *entry = bpf_map_lookup_elem(&kf_ports, &at);

	if (!entry || !(entry->any | entry->listeners))
		return NULL;
	if (entry->listeners) {
		struct kf_listener listener = { .port = port };
		__u32 *found;

		kf_address_copy(listener.addr, addr, ipv6);
		found = bpf_map_lookup_elem(&kf_listeners, &listener);
		if (found) {
			*index = *found;
			return kf_service_at(*found);
		}
	}
	if (!entry->any)
		return NULL;
	*index = entry->any - 1;
	return kf_service_at(entry->any - 1);
}

/* Where keys are looked for: a mask of KF_KEY_*. */
static __always_inline __u32 kf_service_key_sources(const struct kf_service *service)
{
	if (service->flags & KF_SERVICE_WEBSOCKET)
		return service->key_sources;
	return service->key_sources & ~KF_KEY_WEBSOCKET;
}

#endif /* KEYFILTER_SERVICE_H */
