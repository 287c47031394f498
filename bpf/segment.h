/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * segment.h - a TCP segment of a service, read alike in both directions: a frame is named as its
 * client's would be.
 */
#ifndef KEYFILTER_SEGMENT_H
#define KEYFILTER_SEGMENT_H

#include "packet.h"
#include "service.h"

/* The ports of the TCP segment in the frame. NULL where there are none; @result says why. */
static __always_inline __be16 *kf_segment_ports(KF_CTX *ctx, struct kf_l3 *l3,
						enum kf_l3_result *result)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct kf_cursor c = { .pos = data, .end = data_end };

	*result = kf_packet_l3(ctx, &c, data, l3);
	return *result == KF_L3_TCP ? kf_packet_ports(data, data_end, l3) : NULL;
}

/*
 * Fills @p in from the segment with these @ports. False where it is for no service, nor from one.
 */
static __always_inline bool kf_segment_read(KF_CTX *ctx, enum kf_direction direction,
					    const struct kf_l3 *l3, __be16 *ports,
					    struct kf_packet *p)
{
	bool out = direction == KF_EGRESS;
	void *client = out ? l3->daddr : l3->saddr, *server = out ? l3->saddr : l3->daddr;

	p->key.client_port = bpf_ntohs(ports[out]);
	p->key.server_port = bpf_ntohs(ports[!out]);
	if (!kf_service_find(server, l3->ipv6, p->key.server_port, &p->service))
		return false;
	kf_address_copy(p->key.client, client, l3->ipv6);
	kf_address_copy(p->key.server, server, l3->ipv6);
	p->ipv6 = l3->ipv6;
	p->l3_offset = l3->offset;
	p->l4_offset = l3->l4_offset;
	kf_packet_tcp(ctx, (struct tcphdr *)ports, l3, p);
	return true;
}

#endif /* KEYFILTER_SEGMENT_H */
