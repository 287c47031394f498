// SPDX-License-Identifier: GPL-2.0-only
#include "api/server.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The thread blocks all signals: they are for the loop, which reads them from a descriptor. */
int kf_api_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_setname_np(*thread, name);
	return -err;
}

/* On Linux each thread has a nice value of its own (setpriority(2)). Raising it needs no right. */
void kf_api_thread_be_nice(int more)
{
	id_t self = (id_t)syscall(SYS_gettid);

	setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + more);
}
