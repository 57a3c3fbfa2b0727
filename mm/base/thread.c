// SPDX-License-Identifier: Apache-2.0
/* Threads and waiting. Contract in thread.h. */
#include "mm/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "mm/base/clock.h"

struct birth {
	const char *name;
	void *(*fn)(void *);
	void *arg;
};

/* A thread names itself by one system call; another would go through three of procfs. */
static void *begin(void *arg)
{
	struct birth birth = *(struct birth *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), birth.name);
	return birth.fn(birth.arg);
}

int thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg)
{
	struct birth *birth = malloc(sizeof(*birth));
	sigset_t block, old;
	int ret;

	if (!birth)
		return -ENOMEM;
	*birth = (struct birth){name, fn, arg};
	sigfillset(&block);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	ret = pthread_create(thread, NULL, begin, birth);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		free(birth);
	return -ret;
}

void thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, u64 ns)
{
	u64 at = now_ns() + ns;
	const struct timespec until = {
		.tv_sec = (time_t)(at / 1000000000),
		.tv_nsec = (long)(at % 1000000000),
	};

	pthread_cond_timedwait(cond, lock, &until);
}
