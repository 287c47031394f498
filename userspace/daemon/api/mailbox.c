// SPDX-License-Identifier: GPL-2.0-only
/* What other threads leave for the thread that a front belongs to. */
#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void kf_api_mail_ring(struct kf_api_front *front)
{
	const uint64_t one = 1;

	/* It can fail only when the count is at its end, and then the descriptor is readable. */
	(void)!write(front->mail.fd, &one, sizeof(one));
}

int kf_api_mail_arrive(struct kf_api_front *front, struct kf_api_arrival *arrival)
{
	struct kf_api_mail *mail = &front->mail;
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
	kf_api_mail_ring(front);
	return 0;
}

void kf_api_mail_done(struct kf_api_front *front, struct kf_api_job *job)
{
	pthread_mutex_lock(&front->mail.lock);
	STAILQ_INSERT_TAIL(&front->mail.done, job, entry);
	pthread_mutex_unlock(&front->mail.lock);
	kf_api_mail_ring(front);
}

void kf_api_mail_tell(struct kf_api_front *front)
{
	bool told;

	pthread_mutex_lock(&front->mail.lock);
	told = front->mail.events;
	front->mail.events = true;
	pthread_mutex_unlock(&front->mail.lock);
	if (!told)
		kf_api_mail_ring(front);
}

void kf_api_mail_stop(struct kf_api_front *front)
{
	pthread_mutex_lock(&front->mail.lock);
	front->mail.stop = true;
	pthread_mutex_unlock(&front->mail.lock);
	kf_api_mail_ring(front);
}

void kf_api_mail_take_arrivals(struct kf_api_front *front)
{
	pthread_mutex_lock(&front->mail.lock);
	STAILQ_CONCAT(&front->waiting, &front->mail.arrivals);
	pthread_mutex_unlock(&front->mail.lock);
}

void kf_api_mail_end_waiting(struct kf_api_front *front, struct kf_api_arrival *arrival)
{
	STAILQ_REMOVE(&front->waiting, arrival, kf_api_arrival, entry);
	pthread_mutex_lock(&front->mail.lock);
	front->mail.waiting--;
	front->mail.waiting_of[arrival->uid % KF_API_USERS]--;
	pthread_mutex_unlock(&front->mail.lock);
	free(arrival);
}
