/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * method.h - stage 5: the methods that a service adds to those that every server knows.
 *
 * The reader knows GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS; any other word is one that some
 * servers take with content and others without, so it passes only where the operator vouches for
 * the backend (`service add --method`).
 */
#ifndef KEYFILTER_METHOD_H
#define KEYFILTER_METHOD_H

#include "service.h"

/* Is the method of the head in @buf, which the reader does not know, one of the service's own? */
static __always_inline bool kf_method_is_added(__u32 index, const struct kf_http1 *http1,
					       const __u8 *buf)
{
	struct kf_service *service = kf_service_at(index);
	__u32 len = http1->method_len, off = http1->method_off;
	__u64 first = kf_http1_word(buf, off) & kf_swar_low(len);
	__u64 second = len > 8 ? kf_http1_word(buf, off + 8) & kf_swar_low(len - 8) : 0;

	if (!service)
		return false;
	for (int i = 0; i < KF_METHODS_MAX; i++) {
		if (service->methods[i][0] == first && service->methods[i][1] == second)
			return true;
	}
	return false;
}

#endif /* KEYFILTER_METHOD_H */
