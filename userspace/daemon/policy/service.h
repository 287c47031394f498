/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * service.h - services, changed in store and kernel together.
 *
 * A service is filtered from the moment its port is in kf_ports: that is written last when one is
 * added, and first when one is removed. Rows are those of store.h. 0 or -errno with @why filled:
 * -EEXIST the name or the address and port are taken, -ENOENT, -E2BIG KF_SERVICES_MAX are there.
 */
#ifndef KEYFILTER_DAEMON_POLICY_SERVICE_H
#define KEYFILTER_DAEMON_POLICY_SERVICE_H

#include "store/store.h"

struct kf_policy;
struct kf_why;

int kf_policy_service_add(struct kf_policy *policy, struct kf_service_row *row, struct kf_why *why);
int kf_policy_service_edit(struct kf_policy *policy, const struct kf_service_row *row,
			   struct kf_why *why);
int kf_policy_service_remove(struct kf_policy *policy, const char *name, struct kf_why *why);

#endif
