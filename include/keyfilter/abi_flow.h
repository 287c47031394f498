/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * abi_flow.h - the part of abi.h that is about connections: kf_flows and kf_embryos. Include abi.h.
 */
#ifndef KEYFILTER_ABI_FLOW_H
#define KEYFILTER_ABI_FLOW_H

/* Key of kf_flows (HASH, preallocated): as the client's packets name the connection. */
struct kf_flow_key {
	__u8 client[16];
	__u8 server[16];
	__u16 client_port;
	__u16 server_port;
	__u32 pad;
};
KF_ABI_SIZE(struct kf_flow_key, 40);

enum kf_flow_state {
	KF_FLOW_HEAD,	   /* a request head begins or goes on at in.resume_seq */
	KF_FLOW_CHUNKS,	   /* chunk framing goes on at in.resume_seq */
	KF_FLOW_REFUSED,   /* nothing at or behind in.resume_seq passes any more */
	KF_FLOW_UNSYNCED,  /* position unknown; the first data after an answer must be a head */
	KF_FLOW_UPGRADING, /* websocket was asked for; waits for the backend's 101 */
	KF_FLOW_TUNNEL,	   /* belongs to its key, nothing more is read */
	KF_FLOW_CLOSED,	   /* given up by the controller, about to be deleted */
	KF_FLOW_ANSWERED,  /* the client was told why; it is listened to until it has read that */
	KF_FLOW_CONTENT,   /* content is read, and goes on at in.resume_seq */
};

/* How far the backend's responses are followed. */
enum kf_response_state {
	KF_RESPONSE_HEAD,     /* a response begins at response.seq, or none is being sent */
	KF_RESPONSE_CHUNKS,   /* chunk framing goes on at response.seq */
	KF_RESPONSE_LOST,     /* its end is not known: assume that one is running */
	KF_RESPONSE_SWITCHED, /* a 101: what follows is no HTTP */
	KF_RESPONSE_CLOSING,  /* it ends when the backend closes the connection */
	KF_RESPONSE_STRAY,    /* the backend said something that no admitted request awaits */
};

/* kf_flow.answer.flags */
#define KF_ANSWER_NO_BODY      0x01u /* the refused request is a HEAD */
#define KF_ANSWER_OWN	       0x02u /* the refused request is the last admitted one: its body was bad */
#define KF_ANSWER_RESET	       0x08u /* the backend got a RST */
#define KF_ANSWER_CLIENT_RESET 0x20u /* the client got a RST */
#define KF_ANSWER_SILENT       0x40u /* the service drops: the client is told nothing */

/* kf_flow.flags, written by ingress */
#define KF_FLOW_FIN_IN	  0x01u /* the client's FIN was seen; in.fin_seq */
#define KF_FLOW_ACKED_OUT 0x02u /* the client acknowledged the backend's FIN */
#define KF_FLOW_SWAP	  0x04u /* the bytes at in.swap_seq and in.swap_seq + 2 change places */
#define KF_FLOW_RST_IN	  0x08u /* the client sent a RST that may have ended the connection */
#define KF_FLOW_SENT	  0x10u /* unsynced: the client's data has come up to in.resume_seq */
#define KF_FLOW_LONG	  0x20u /* over 2^30 bytes came: old numbers may lie before in.first */
#define KF_FLOW_IN_HEAD	  0x40u /* a head has begun, and goes on at in.resume_seq */
#define KF_FLOW_HELD	  0x80u /* data was dropped because a response was due; ends with a request */

/* kf_flow.out.flags, written by egress */
#define KF_FLOW_FIN_OUT	  0x01u /* the backend's FIN was seen; out.fin_seq */
#define KF_FLOW_ACKED_IN  0x02u /* the backend acknowledged the client's FIN */
#define KF_FLOW_CAUGHT_UP 0x04u /* unsynced: the backend has answered all that the client sent */
#define KF_FLOW_ACK_SEEN  0x08u /* in.acked_seq is known */
#define KF_FLOW_RST_OUT	  0x10u /* a RST that may be the backend's was seen */

/*
 * Of kf_flow.head: the place in kf_heads of a partial head, or of judged bytes; 0: none. The bits
 * above count the flow's takings, so that no CPU ends a later one than it means.
 */
#define KF_FLOW_HEAD_PLACE 0x1ffffu

/*
 * Bytes that were judged and that the backend has not acknowledged yet: a retransmission must carry
 * the same ones, or what the backend reads is not what was judged.
 */
struct kf_judged {
	__u32 seq;
	__u32 len;
	__u64 digest;
};
KF_ABI_SIZE(struct kf_judged, 16);

#define KF_JUDGED_MAX 16

/* The stream of the client. Written by ingress, but for acked_seq. */
struct kf_flow_in {
	__u32 resume_seq; /* the next byte that matters */
	__u32 acked_seq;  /* the backend has acknowledged up to here */
	__u32 first;	  /* number of the first data byte */
	__u32 fin_seq;	  /* the number after the FIN */
	__u32 swap_seq;
	__u8 empty_lines; /* since the last request */
	__u8 ahead;	  /* 1: a piece of a chunked body came ahead of resume_seq */
	__u8 pad[2];
	__u64 skip;	/* body bytes that follow resume_seq unread, where 2^30 were not enough */
	__u8 chunk[24]; /* struct kf_chunk of chunk.h */
};

/* The stream of the backend. Written by egress. */
struct kf_flow_out {
	__u32 seq;     /* it has sent up to here */
	__u32 low;     /* and the client may acknowledge from here on */
	__u32 first;   /* number of the first data byte; 0: adopted */
	__u32 fin_seq; /* the number after the FIN */
	__u8 flags;
	__u8 pad[3];
};

/* What is awaited and what has come. head_asked and requests are ingress's, the rest egress's. */
struct kf_flow_response {
	__u32 requests;	  /* admitted */
	__u32 head_asked; /* bit n: request n modulo 32 was a HEAD, its response has no body */
	__u32 ended;	  /* final responses whose end is known */
	__u32 seq;	  /* the next byte of a response that matters */
	__u64 skip;	  /* as in struct kf_flow_in */
	__u8 chunk[24];
	__u8 state; /* enum kf_response_state */
	__u8 gap;   /* 1: what comes before a segment of a response is missing */
	__u8 pad[6];
};

/* The refusal, and how it is told. */
struct kf_flow_answer {
	__u64 request_id;
	__u32 retry_after; /* seconds */
	__u32 seq;	   /* where the answer begins; before, what the client of a request has */
	__u32 len;	   /* without its FIN */
	__u32 ack;	   /* the client's bytes that it acknowledged */
	__u32 ms;	   /* when it was sent last; CLOCK_MONOTONIC_COARSE >> 20 */
	__u32 since;	   /* when it was sent first, on the clock of kf_flow.seen */
	__u8 reason;	   /* enum kf_reason */
	__u8 detail;	   /* enum kf_detail */
	__u8 protocol;	   /* enum kf_protocol of the refused request */
	__u8 flags;	   /* KF_ANSWER_* */
	__u8 pad[4];
};

/* The bytes of the client that were judged, and may come again. */
struct kf_flow_judged {
	__u32 seq;  /* where they end: what starts here or later is not compared */
	__u32 from; /* stretch[] holds nothing older than this */
	__u8 next;  /* place in stretch[] to fill next */
	__u8 pad[7];
	struct kf_judged stretch[KF_JUDGED_MAX];
};

struct kf_flow {
	__u64 cookie; /* keyed hash of the flow's key: an element reused meanwhile is recognised */
	__u32 busy;   /* 1: a CPU judges this flow; also left 1 in deleted elements */
	__u32 seen;   /* CLOCK_MONOTONIC_COARSE >> 30, about seconds, of the last packet */
	__u32 since;  /* unsynced, or response.gap: since when, on the same clock */
	__u32 slot;   /* key of the last admitted request; KF_SLOT_NONE */
	__u32 head;   /* its place in kf_heads; how many it has had: KF_FLOW_HEAD_PLACE */
	__u16 slot_check; /* of the slot's tag: a slot given to another key is not mistaken */
	__u8 state;	  /* enum kf_flow_state */
	__u8 flags;
	__u8 cut; /* enum kf_reason: both ends are reset for it; 0: not */
	__u8 service;
	__u8 pad[2];
	__u32 source_generation; /* of the lists that this source was last looked up in */
	struct kf_flow_out out;
	__u32 reserved;
	struct kf_flow_in in;
	struct kf_flow_response response;
	struct kf_flow_answer answer;
	struct kf_flow_judged judged;
};
KF_ABI_SIZE(struct kf_flow, 232 + 16 * KF_JUDGED_MAX);
KF_ABI_AT(struct kf_flow, in, 64);

#define KF_SLOT_NONE ((__u32)-1)

/*
 * kf_embryos: ARRAY, by the keyed hash of the flow's key. What egress saw of a handshake: the
 * client's segment that acknowledges server_first has really received the SYN-ACK. A newer SYN-ACK
 * overwrites an older one; no established flow lives here.
 */
struct kf_embryo {
	__u64 cookie;
	__u32 client_first;
	__u32 server_first; /* and of the backend */
};
KF_ABI_SIZE(struct kf_embryo, 16);

#endif /* KEYFILTER_ABI_FLOW_H */
