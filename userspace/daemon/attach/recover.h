/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recover.h - what runs on the interfaces, where its pins were lost.
 *
 * Pins can vanish: somebody removes one, or mounts another BPF file system in their place. The
 * programs go on with the maps that they have, and those are the maps that count. One thread,
 * before the maps are opened, in the network namespace that is filtered.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_RECOVER_H
#define KEYFILTER_DAEMON_ATTACH_RECOVER_H

struct kf_secret;
struct kf_why;

/*
 * Makes the pins below @pin_dir be those of the maps that this installation's programs (their
 * kf_config has its secret) use on the interfaces; says so in the log. Nothing is done where they
 * are, or where no program runs. -EPROTO: they use different maps, or of another layout; -EBUSY:
 * their maps are pinned in another directory; -EXDEV: pins are missing, and those that are there
 * were made in another network namespace, whose programs cannot be seen here.
 */
int kf_attach_recover_pins(const char *pin_dir, const struct kf_secret *secret, struct kf_why *why);

/*
 * After an unload: does nothing of this installation run any more? -EBUSY: it does, or something
 * does that may be (without @secret, which may be NULL: its maps are pinned nowhere); @why names
 * where.
 */
int kf_attach_recover_is_off(const char *pin_dir, const struct kf_secret *secret,
			     struct kf_why *why);

#endif
