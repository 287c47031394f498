// SPDX-License-Identifier: GPL-2.0-only
#include "attach/recover.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "attach/attach.h"
#include "maps/maps.h"
#include "store/secret.h"
#include "why.h"

static int add(void *context, const char *dev, int program_fd)
{
	return kf_maps_running_add(context, dev, program_fd);
}

int kf_attach_recover_pins(const char *pin_dir, const struct kf_secret *secret, struct kf_why *why)
{
	struct kf_maps_running running = { .secret = { secret->key[0], secret->key[1] } };
	__u32 ids[KF_MAP_COUNT];
	int missing = kf_maps_pin_ids(pin_dir, ids);
	int err = kf_attach_running_each(add, &running);

	explicit_bzero(running.secret, sizeof(running.secret));
	if (err)
		return kf_why_set(why, err,
				  "cannot see which programs run on the interfaces: %s; %s",
				  strerror(-err), kf_why_mend(err));
	if (missing && missing < KF_MAP_COUNT && !running.programs)
		err = kf_attach_check_namespace(pin_dir, why);
	return err ? err : kf_maps_running_pin(&running, pin_dir, why);
}

/* ---- after an unload ------------------------------------------------------------------------- */

struct left {
	const char *pin_dir;
	const struct kf_secret *secret;
	char dev[IF_NAMESIZE];
};

/* Others may use the same host: what is theirs has its pins, or another secret. */
static int look_at(void *context, const char *dev, int program_fd)
{
	struct left *left = context;
	bool ours = left->secret ? kf_maps_program_is_of(program_fd, left->secret->key)
				 : !kf_maps_program_is_pinned(program_fd, left->pin_dir);

	if (ours)
		snprintf(left->dev, sizeof(left->dev), "%s", dev);
	return ours;
}

int kf_attach_recover_is_off(const char *pin_dir, const struct kf_secret *secret,
			     struct kf_why *why)
{
	struct left left = { .pin_dir = pin_dir, .secret = secret };
	int found = kf_attach_running_each(look_at, &left);

	if (found < 0)
		return kf_why_set(why, found, "cannot see what runs on the interfaces: %s; %s",
				  strerror(-found), kf_why_mend(found));
	if (found && secret)
		return kf_why_set(why, -EBUSY,
				  "a program of keyfilter still runs on %s; see `bpftool net`, and "
				  "run it again",
				  left.dev);
	if (found)
		return kf_why_set(why, -EBUSY,
				  "a program of keyfilter runs on %s whose pins are lost; name the "
				  "--state-dir of its installation, whose secret tells that it is "
				  "its own, or take it off by hand (ip link set dev %s xdp off)",
				  left.dev, left.dev);
	return 0;
}
