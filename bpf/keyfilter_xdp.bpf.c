// SPDX-License-Identifier: GPL-2.0-only
/* The pipeline on XDP, native or generic; multi-buffer frames (Linux 5.18). */
#include "ctx_xdp.h"
#include "ingress.h"

SEC("xdp.frags")
int keyfilter_xdp(struct xdp_md *ctx)
{
	return kf_ingress(ctx);
}

char _license[] SEC("license") = "GPL";
