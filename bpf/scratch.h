/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * scratch.h - what a CPU works on that does not fit the 512 bytes of BPF stack.
 *
 * One entry a CPU, overwritten by each packet. Ingress runs in softirq and is not interrupted by
 * itself; egress may run in process context, with bottom halves off, and has an entry of its own.
 * Private to each loaded object: never pinned, never read by the controller.
 *
 * Global functions, those that are not static, are read by the verifier once each, by themselves,
 * and not along every way that leads to them, which would be too many. It takes each pointer that
 * they get for one that may be NULL, so each asks first; what it returns then is never seen. They
 * have to return a number (Linux 6.1), also where there is nothing to say.
 */
#ifndef KEYFILTER_SCRATCH_H
#define KEYFILTER_SCRATCH_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <keyfilter/abi.h>

/* A TCP segment to or from a service. */
struct kf_packet {
	struct kf_flow_key key;
	__u32 seq;
	__u32 ack;
	__u16 l3_offset;
	__u16 l4_offset;
	__u32 payload_offset;
	__u32 payload_len;
	__u8 tcp_flags;
	__u8 detail; /* enum kf_detail: the segment is refused for this; 0: sound */
	__u8 ipv6;
	__u8 service; /* index, set by kf_service_find */
	__u8 monitor; /* the service is only watched */
	__u8 pad[3];
};

/* What was decided about it. */
struct kf_outcome {
	__u8 reason;   /* enum kf_reason, counted: what the stages returned, for act to read */
	__u8 refusal;  /* of a request behind bytes that pass; 0: none */
	__u8 answer;   /* kf_answer() has to speak to the client */
	__u8 unfin;    /* what passes loses its FIN */
	__u8 failed;   /* held against the source */
	__u8 admitted; /* and this for it: requests */
	__u8 cut;      /* a running request or response was ended */
	__u8 pad;
	__u32 slot;	   /* KF_SLOT_NONE */
	__u32 keep;	   /* payload bytes that pass; KF_KEEP_ALL */
	__u32 retry_after; /* of the refusal, seconds */
	__u64 request_id;
};

/* What an event says beside the packet. */
struct kf_note {
	__u64 request_id;
	__u32 ifindex;
	__u32 slot;
	__u32 retry_after;
	__u8 reason;
	__u8 kind; /* enum kf_event_kind */
	__u8 monitor;
	__u8 pad;
};

#define KF_KEEP_ALL ((__u32)-1)

/* Where a walk stands (walk.h). No pointers: global functions take it. */
struct kf_walk {
	__u32 at;     /* bytes of the payload behind us */
	__u32 from;   /* where the judged stretch began */
	__u32 judged; /* where it ends */
	__u32 head;   /* bytes of the head that it begins with, if that is whole */
	__u32 loaded; /* the scratch holds this many bytes from `from` on */
	__u32 slot;   /* of the request judged last */
	__u32 key_sources;
	__u16 admitted;
	__u8 reason;  /* of the refusal that ended the walk; 0: none. A step of bpf_loop() returns
		       * no more than whether to go on */
	__u8 partial; /* a head goes on in the next segment */
	__u8 monitor; /* refusals are noted and do not end it */
	__u8 websocket;
	__u16 refused;	    /* requests; in monitor mode there may be several */
	__u8 protocol;	    /* of the refused one, enum kf_protocol */
	__u8 method;	    /* enum kf_method */
	__u8 kept;	    /* the judged bytes are in the flow's place */
	__u8 content;	    /* the request's content is to be read, and judged then */
	__u8 detail;	    /* enum kf_detail, of what the policy refuses */
	__u8 placed;	    /* the head that was read stands in the flow's place */
	__u8 allowed;	    /* the request judged last may pass */
	__u8 named;	    /* ... and its path has named a model: its content need not */
	__u64 tag[2];	    /* of an imported key */
	__u64 named_tag[2]; /* where it is named: as kf_head.named */
	__u32 retry_after;  /* seconds */
	__u32 came_seq;	    /* what came ahead of this segment: from this number */
	__u32 came_end;	    /* up to this one; the same: nothing did */
	__u32 ahead_to;	    /* so far reached what came ahead of the head that was read */
};

struct kf_scratch {
	struct kf_packet packet;
	struct kf_outcome outcome;
	struct kf_note note;
	struct kf_walk walk;
	struct kf_flow flow; /* one that is being made */
};

enum kf_direction { KF_INGRESS, KF_EGRESS, KF_DIRECTIONS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KF_DIRECTIONS);
	__type(key, __u32);
	__type(value, struct kf_scratch);
} kf_scratch SEC(".maps");

static __always_inline struct kf_scratch *kf_scratch_get(__u32 direction)
{
	return bpf_map_lookup_elem(&kf_scratch, &direction);
}

#endif /* KEYFILTER_SCRATCH_H */
