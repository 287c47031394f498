/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flowstate.h - what the record of a flow says, read alike by the kernel and the controller.
 *
 * Pure functions over struct kf_flow of abi.h. Its members are written by packets on other CPUs
 * meanwhile; each answer is right for some moment of the call, and errs towards "running".
 */
#ifndef KEYFILTER_FLOWSTATE_H
#define KEYFILTER_FLOWSTATE_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>

/* Are the responses read, or will they be? The highest bit says that a CPU reads one right now. */
KF_INLINE _Bool kf_flow_is_followed(const struct kf_flow *flow)
{
	return (flow->response.state & 0x7f) <= KF_RESPONSE_CHUNKS;
}

/*
 * A response is due, or on its way. A response.state that is not plain is in the middle, lost, or
 * being read right now; a response of known length is counted at its head, and goes on until all of
 * it was sent.
 */
KF_INLINE _Bool kf_flow_is_answering(const struct kf_flow *flow)
{
	__u32 fin = flow->out.flags & KF_FLOW_FIN_OUT ? 1 : 0; /* takes a number, too */

	return flow->response.requests != flow->response.ended ||
	       flow->response.state != KF_RESPONSE_HEAD ||
	       flow->out.seq - fin != flow->response.seq;
}

/*
 * The same, or a request is being sent, whose response may have come before the end of its body:
 * not an idle connection. A tunnel never ends. A head that comes in pieces is nobody's yet.
 */
KF_INLINE _Bool kf_flow_is_running(const struct kf_flow *flow)
{
	return kf_flow_is_answering(flow) || flow->state == KF_FLOW_TUNNEL ||
	       flow->state == KF_FLOW_CHUNKS || flow->state == KF_FLOW_CONTENT || flow->in.skip ||
	       (!(flow->flags & KF_FLOW_IN_HEAD) &&
		(__s32)(flow->in.acked_seq - flow->in.resume_seq) < 0);
}

/*
 * Does one request wait for its response, of which not a byte has been sent? An interim response
 * that is complete (100 Continue) may have been.
 */
KF_INLINE _Bool kf_flow_is_waiting(const struct kf_flow *flow)
{
	return flow->response.requests - flow->response.ended == 1 &&
	       flow->response.state == KF_RESPONSE_HEAD && !(flow->out.flags & KF_FLOW_FIN_OUT) &&
	       flow->out.seq == flow->response.seq && !flow->response.skip;
}

/*
 * May an answer of our own follow what the backend has sent, for a client that has acknowledged up
 * to @ack? Only where no response is running or to come, and nothing of one is on its way.
 */
KF_INLINE _Bool kf_flow_is_answerable(const struct kf_flow *flow, __u32 ack)
{
	__u32 running = flow->response.requests - flow->response.ended;

	if (flow->response.state != KF_RESPONSE_HEAD || (flow->out.flags & KF_FLOW_FIN_OUT))
		return 0;
	if (running != !!(flow->answer.flags & KF_ANSWER_OWN))
		return 0;
	return ack == flow->out.seq && flow->out.seq == flow->response.seq && !flow->response.skip;
}

#endif /* KEYFILTER_FLOWSTATE_H */
