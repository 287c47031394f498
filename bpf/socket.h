/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * socket.h - what the local socket of a connection knows, where the backend is on this host.
 *
 * A container behind a published port has its socket in another namespace, and is not found.
 */
#ifndef KEYFILTER_SOCKET_H
#define KEYFILTER_SOCKET_H

#include <bpf/bpf_core_read.h>

#include "maps.bpf.h"
#include "packet.h"
#include "seq.h"

#define KF_TCP_ESTABLISHED 1

/* The members of the kernel's struct tcp_sock that are read; CO-RE finds where they are. */
struct rb_node;

struct rb_root {
	struct rb_node *rb_node;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u64 bytes_received;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 snd_nxt;
	struct rb_root out_of_order_queue;
} __attribute__((preserve_access_index));

struct kf_socket {
	__u32 rcv_nxt;	/* what it expects next */
	__u32 snd_una;	/* what its client has not acknowledged yet */
	__u32 snd_nxt;	/* what it sends next */
	__u8 untouched; /* 1: it holds no byte of its client */
	__u8 has_later; /* 1: it holds bytes behind some that it misses */
	__u16 state;	/* of net/tcp_states.h in Linux, as KF_TCP_ESTABLISHED; 0: no socket */
};

/*
 * Where the backend's socket stands, if it is local and established. 0 where there is no such
 * socket (a container behind a published port, for one).
 */
__noinline int kf_socket_state(KF_CTX *ctx, struct kf_packet *p, struct kf_socket *out)
{
	struct bpf_sock_tuple tuple;
	struct tcp_sock *tp;
	struct bpf_sock *sk;
	int found = 0;
	__u32 size;

	if (!p || !out)
		return 0;
	if (p->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, p->key.client, 16);
		__builtin_memcpy(tuple.ipv6.daddr, p->key.server, 16);
		tuple.ipv6.sport = bpf_htons(p->key.client_port);
		tuple.ipv6.dport = bpf_htons(p->key.server_port);
		size = sizeof(tuple.ipv6);
	} else {
		__builtin_memcpy(&tuple.ipv4.saddr, p->key.client + 12, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, p->key.server + 12, 4);
		tuple.ipv4.sport = bpf_htons(p->key.client_port);
		tuple.ipv4.dport = bpf_htons(p->key.server_port);
		size = sizeof(tuple.ipv4);
	}
	sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	out->state = sk->state;
	if (sk->state == KF_TCP_ESTABLISHED) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			out->rcv_nxt = tp->rcv_nxt;
			out->snd_una = tp->snd_una;
			out->snd_nxt = tp->snd_nxt;
			out->has_later = !!tp->out_of_order_queue.rb_node;
			asm volatile("" ::: "memory"); /* no arithmetic on that pointer */
			out->untouched = !tp->bytes_received && !out->has_later;
			found = 1;
		}
	}
	bpf_sk_release(sk);
	return found;
}

/* The client's first sequence number, as the socket tells it: data may complete a handshake. */
static __always_inline bool kf_socket_start(KF_CTX *ctx, struct kf_packet *p, __u32 *client_first)
{
	struct kf_socket socket = {};

	if (!p->payload_len || !kf_socket_state(ctx, p, &socket) || !socket.untouched)
		return false;
	if (p->ack != socket.snd_una || p->ack != socket.snd_nxt)
		return false;
	*client_first = socket.rcv_nxt;
	return true;
}

#endif /* KEYFILTER_SOCKET_H */
