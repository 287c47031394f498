/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body.h - what reading a JSON body costs in the kernel, a kibibyte of it, over whole bodies.
 *
 * No packet, no copy: body_run() of tests/packet/body.bpf.c, less the empty program.
 */
#ifndef KF_TESTS_BENCH_BODY_H
#define KF_TESTS_BENCH_BODY_H

/* Prints scan_body_ns_per_kib, a line for each shape of body; @object is body.bpf.o's path. */
void kf_bench_body(const char *object);

#endif
