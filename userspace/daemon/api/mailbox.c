// SPDX-License-Identifier: GPL-2.0-only
/* What other threads leave for a lane's thread. */
#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void kf_api_mailbox_ring(struct kf_api_lane *lane)
{
	const uint64_t one = 1;

	/* It fails only where the eventfd's count is at its maximum: then it is readable anyway. */
	(void)!write(lane->mailbox.fd, &one, sizeof(one));
}

int kf_api_mailbox_arrive(struct kf_api_lane *lane, struct kf_api_arrival *arrival)
{
	struct kf_api_mailbox *mail = &lane->mailbox;
	bool full;

	pthread_mutex_lock(&mail->lock);
	full = mail->waiting == KF_API_ARRIVALS || mail->stop ||
	       mail->waiting_of[arrival->uid % KF_API_USERS] == KF_API_ARRIVALS / 2;
	if (!full) {
		STAILQ_INSERT_TAIL(&mail->arrivals, arrival, entry);
		mail->waiting++;
		mail->waiting_of[arrival->uid % KF_API_USERS]++;
	}
	pthread_mutex_unlock(&mail->lock);
	if (full)
		return -EAGAIN;
	kf_api_mailbox_ring(lane);
	return 0;
}

void kf_api_mailbox_done(struct kf_api_lane *lane, struct kf_api_job *job)
{
	pthread_mutex_lock(&lane->mailbox.lock);
	STAILQ_INSERT_TAIL(&lane->mailbox.done, job, entry);
	pthread_mutex_unlock(&lane->mailbox.lock);
	kf_api_mailbox_ring(lane);
}

void kf_api_mailbox_tell(struct kf_api_lane *lane)
{
	bool told;

	pthread_mutex_lock(&lane->mailbox.lock);
	told = lane->mailbox.events;
	lane->mailbox.events = true;
	pthread_mutex_unlock(&lane->mailbox.lock);
	if (!told)
		kf_api_mailbox_ring(lane);
}

void kf_api_mailbox_stop(struct kf_api_lane *lane)
{
	pthread_mutex_lock(&lane->mailbox.lock);
	lane->mailbox.stop = true;
	pthread_mutex_unlock(&lane->mailbox.lock);
	kf_api_mailbox_ring(lane);
}

void kf_api_mailbox_collect(struct kf_api_lane *lane)
{
	pthread_mutex_lock(&lane->mailbox.lock);
	STAILQ_CONCAT(&lane->waiting, &lane->mailbox.arrivals);
	pthread_mutex_unlock(&lane->mailbox.lock);
}

void kf_api_mailbox_end_waiting(struct kf_api_lane *lane, struct kf_api_arrival *arrival)
{
	STAILQ_REMOVE(&lane->waiting, arrival, kf_api_arrival, entry);
	pthread_mutex_lock(&lane->mailbox.lock);
	lane->mailbox.waiting--;
	lane->mailbox.waiting_of[arrival->uid % KF_API_USERS]--;
	pthread_mutex_unlock(&lane->mailbox.lock);
	free(arrival);
}
