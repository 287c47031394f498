/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * frame.h - builds the frames of the packet tests: Ethernet, VLAN tags, IPv4 or IPv6, TCP.
 *
 * A struct kf_frame_spec says what is wanted, the defaults make a sound segment from the client
 * 10.0.0.2 (fd00::2) to the service 10.0.0.1:8000 (fd00::1). Checksums are right unless asked
 * otherwise. The bytes land in the caller's buffer.
 */
#ifndef KF_TESTS_PACKET_FRAME_H
#define KF_TESTS_PACKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KF_FRAME_MAX 4096 /* BPF_PROG_TEST_RUN takes one page, less headroom and tailroom */

struct kf_frame_spec {
	int vlans; /* 0 to 2 or more: 802.1ad outside, 802.1Q inside */
	bool ipv6;
	bool reverse;		/* from the service to the client */
	uint8_t extensions[16]; /* IPv6 extension headers, in order; 0 ends (hop-by-hop is 200) */
	uint16_t fragment;	/* offset in bytes; with more_fragments or not 0: a fragment */
	bool more_fragments;
	uint8_t ip_options;		   /* bytes, a multiple of 4 */
	uint8_t client_host;		   /* last byte of the client's address; 0: 2 */
	uint8_t client_net;		   /* last byte of its /64 */
	uint8_t server_host;		   /* 0: 1 */
	uint16_t client_port, server_port; /* 0: 40000, 8000 */
	uint32_t seq, ack;
	uint8_t flags; /* 0: ACK, and PSH with data */
	uint8_t tcp_options[40];
	size_t tcp_options_len;
	int doff;	    /* 0: right */
	int padding;	    /* bytes behind the IP packet, as Ethernet pads short ones */
	uint16_t ethertype; /* instead of IP's; 0: right */
	bool partial;	    /* the TCP checksum is the pseudo-header's sum alone */
	bool ours;	    /* as bpf/turn.h writes it: DF, the full window or, with RST, none */
	const uint8_t *data;
	size_t len;
};

#define KF_EXT_HOPOPTS 200 /* stands for 0 in extensions[] */

/* Returns the length of the frame, 0 if it does not fit. */
size_t kf_frame_build(const struct kf_frame_spec *spec, uint8_t out[static KF_FRAME_MAX]);

/* Behind its tags. */
uint16_t kf_frame_ethertype(const uint8_t *frame);

/* Where the TCP header of a frame of @spec begins. */
size_t kf_frame_l4(const struct kf_frame_spec *spec);

/* The client's address as in abi.h, IPv4 in IPv6 notation. */
void kf_frame_client(const struct kf_frame_spec *spec, uint8_t addr[static 16]);

/* Are the IP length and header checksum and the TCP checksum of @frame right? */
bool kf_frame_sound(const uint8_t *frame, size_t len);

/* The same, where the TCP checksum is to be the sum of the pseudo header alone. */
bool kf_frame_partial(const uint8_t *frame, size_t len);

/* Where the TCP payload of a frame without extension headers begins and how long it is. */
size_t kf_frame_payload(const uint8_t *frame, const uint8_t **payload);

#endif
