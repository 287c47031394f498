/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * loop.h - one bounded loop for code that is compiled twice.
 *
 * The readers of http1.h and chunk.h run in the kernel, in the unit tests and in the fuzzers. Their
 * work is cut into steps; this header runs the steps. In a BPF object that is bpf_loop() (Linux
 * 5.17), so that the verifier reads a step once instead of once for each iteration; elsewhere it is
 * a plain loop with the same contract. Nothing else in those readers knows where it runs.
 */
#ifndef KEYFILTER_LOOP_H
#define KEYFILTER_LOOP_H

#ifndef KF_INLINE
#define KF_INLINE static inline __attribute__((always_inline))
#endif

/* A step returns 0 to go on and 1 to stop. @index counts from 0. */
typedef long (*kf_step_fn)(unsigned int index, void *context);

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/*
 * @context must point to the stack of the caller (ARG_PTR_TO_STACK).
 *
 * The verifier of Linux 6.1 follows a step once, with what is known before the first one, and takes
 * branches out that it has not seen taken. So a member of @context that a step decides by, and an
 * earlier step changes, must not be a constant before the loop: an argument of a global function is
 * none, nor is what is read from a map.
 */
KF_INLINE void kf_loop(unsigned int steps, kf_step_fn step, void *context)
{
	bpf_loop(steps, step, context, 0);
}
#else
KF_INLINE void kf_loop(unsigned int steps, kf_step_fn step, void *context)
{
	for (unsigned int i = 0; i < steps; i++)
		if (step(i, context))
			return;
}
#endif

#endif /* KEYFILTER_LOOP_H */
