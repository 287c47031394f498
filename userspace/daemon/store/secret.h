/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * secret.h - the installation's secret: <state-dir>/secret, 16 bytes.
 *
 * It keys the tags: without it a stolen store cannot be searched for keys. Read once, at the start.
 * The file has mode 0600, belongs to the user that runs the daemon, and is never rewritten.
 */
#ifndef KEYFILTER_DAEMON_STORE_SECRET_H
#define KEYFILTER_DAEMON_STORE_SECRET_H

#include <stdbool.h>

#include <linux/types.h>

struct kf_why;

struct kf_secret {
	__u64 key[2]; /* as kf_keyhash() takes it */
};

/*
 * Reads the secret; makes a new one only if @may_create (the store holds no credential yet:
 * kf_store_credential_any()). -ENOKEY: it is missing and must not be made; -EPERM: mode or owner
 * are wrong; -EINVAL: not 16 bytes.
 */
int kf_store_secret_open(struct kf_secret **out, const char *state_dir, bool may_create,
			 struct kf_why *why);
void kf_store_secret_close(struct kf_secret *secret); /* wipes it; NULL is fine */

#endif
