// SPDX-License-Identifier: GPL-2.0-only
#include "unload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "api/socket.h"
#include "attach/attach.h"
#include "attach/recover.h"
#include "base/lock.h"
#include "cleanup.h"
#include "client.h"
#include "json.h"
#include "log.h"
#include "maps/maps.h"
#include "why.h"

#define WAIT_SECONDS 60
#define STEP_MS	     50

KF_CLEANUP_DEFINE(struct kf_attach, kf_attach_close)

/* How many could not be detached; the first error and @why are those of the first of them. */
static int detach_each(struct kf_attach *attach, const struct if_nameindex *names, int *first,
		       struct kf_why *why)
{
	int failed = 0;

	*first = 0;
	for (const struct if_nameindex *name = names; name->if_index; name++) {
		int err = kf_attach_remove(attach, name->if_name, *first ? NULL : why);

		failed += !!err;
		*first = *first ?: err;
	}
	return failed;
}

/*
 * An interface keeps its XDP program as long as one above it has one (a bridge and its port): what
 * is below goes in a later round, and there is another round as long as one brings something.
 */
int kf_unload_programs(struct kf_attach *attach, struct kf_why *why)
{
	struct if_nameindex *names = if_nameindex();
	int failed = INT_MAX, before, first = 0;

	if (!names)
		return kf_why_set(why, -errno, "cannot list the interfaces: %s; %s",
				  strerror(errno), kf_why_mend(-errno));
	do {
		before = failed;
		failed = detach_each(attach, names, &first, why);
	} while (failed && failed < before);
	if_freenameindex(names);
	return first;
}

int kf_unload_pins(const char *pin_dir, struct kf_why *why)
{
	char links[PATH_MAX], netns[PATH_MAX];

	snprintf(netns, sizeof(netns), "%s/%s", pin_dir, KF_ATTACH_NETNS);
	unlink(netns); /* where it stays, so does the directory, and main.c tells */
	snprintf(links, sizeof(links), "%s/links", pin_dir);
	if (rmdir(links) && errno != ENOENT)
		kf_log_warning("cannot remove %s: %s; see what is in it", links, strerror(errno));
	return kf_maps_unload(pin_dir, why);
}

/* -EBUSY: a daemon has the pin directory, with another run directory than ours. */
static int check_free(const char *pin_dir, struct kf_why *why)
{
	_cleanup_close_ int dir = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; %s", pin_dir, strerror(errno),
				  kf_why_mend(-errno));
	if (flock(dir, LOCK_EX | LOCK_NB))
		return kf_why_set(why, -EBUSY,
				  "a keyfilterd holds %s; stop it, or name its --run-dir", pin_dir);
	return 0;
}

/*
 * In another network namespace there is nothing of ours to be found, so nothing would be taken off,
 * and without its pins what runs elsewhere could not be found any more: -EXDEV.
 */
static int check_pins(const char *pin_dir, struct kf_why *why)
{
	int err;

	if (access(pin_dir, F_OK) && errno == ENOENT)
		return 0;
	err = check_free(pin_dir, why);
	return err ? err : kf_attach_check_namespace(pin_dir, why);
}

static int take_off(const char *pin_dir, const struct kf_secret *secret, struct kf_why *why)
{
	_cleanup_(kf_attach_closep) struct kf_attach *attach = NULL;
	int err = kf_attach_open(&attach, pin_dir, secret, why);

	/* with neither kf_config nor the secret there is nothing that could be found to be ours */
	if (err && err != -ENOENT)
		return err;
	err = attach ? kf_unload_programs(attach, why) : 0;
	if (err)
		return err;
	kf_attach_close(TAKE_PTR(attach));
	return kf_unload_pins(pin_dir, why);
}

/* Pins that were lost come back first: then all that follows finds what it is used to. */
int kf_unload_alone(const char *pin_dir, const struct kf_secret *secret, struct kf_why *why)
{
	int err = check_pins(pin_dir, why);

	if (err)
		return err;
	/* what hinders a start does not hinder the end, but for pins that are elsewhere */
	err = secret ? kf_attach_recover_pins(pin_dir, secret, why) : 0;
	if (err == -EBUSY)
		return err;
	err = access(pin_dir, F_OK) ? 0 : take_off(pin_dir, secret, why);
	return err ? err : kf_attach_recover_is_off(pin_dir, secret, why);
}

/* ---- a running daemon ------------------------------------------------------------------------ */

static int send_request(const char *run_dir, struct kf_why *why)
{
	_cleanup_(kf_client_closep) struct kf_client *client = NULL;
	_cleanup_reply_ struct kf_client_reply reply = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	const char *code = NULL, *message = NULL, *mend = NULL;
	struct kf_client_why trouble;
	char path[PATH_MAX], where[200];
	int err;

	snprintf(path, sizeof(path), "%s/%s", run_dir, KF_API_SOCKET_NAME);
	err = kf_client_open(&client, path, &trouble);
	if (!err)
		err = kf_client_call(client, "POST", "/v1/unload", NULL, &reply, &trouble);
	if (err)
		return kf_why_set(why, err, "%s", trouble.text);
	if (reply.status == 200)
		return 0;
	if (!kf_json_read(reply.body, reply.len, &answer, where))
		kf_json_is_error(answer, &code, &message, &mend);
	return kf_why_set(why, -EPROTO, "the daemon answered %ld: %s; %s", reply.status,
			  message ?: "no reason given", mend ?: "see its log");
}

int kf_unload_ask(const char *run_dir, pid_t pid, struct kf_why *why)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000l };
	int err = send_request(run_dir, why);

	for (int i = 0; !err && i < WAIT_SECONDS * 1000 / STEP_MS; i++) {
		if (!kf_lock_holder(run_dir))
			return 0;
		nanosleep(&step, NULL);
	}
	return err ? err
		   : kf_why_set(why, -ETIMEDOUT,
				"keyfilterd, pid %d, was asked to unload and still runs; %s",
				(int)pid, "see its log");
}
