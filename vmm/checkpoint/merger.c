// SPDX-License-Identifier: Apache-2.0
/* A thread that merges links. Contract in merger.h. */
#include "vmm/checkpoint/merger.h"

#include <errno.h>
#include <string.h>

#include "mm/base/thread.h"
#include "mm/image/image.h"

static void *merger_thread(void *arg)
{
	struct merger *m = arg;
	int ret = image_merge(m->dir, CHAIN_MOST - CHAIN_AFTER, &m->err);

	/* if somebody else merges it, that is as good */
	m->ret = ret == -EBUSY ? 0 : MIN(ret, 0);
	atomic_store(&m->done, true);
	return NULL;
}

int merger_join(struct merger *m, struct err *err)
{
	if (!m->started)
		return 0;
	pthread_join(m->thread, NULL);
	ASSERT(atomic_load(&m->done));
	m->started = false;
	if (m->ret)
		*err = m->err;
	return m->ret;
}

int merger_start(struct merger *m, struct err *err)
{
	int ret;

	if (m->started && !atomic_load(&m->done))
		return 0;
	ret = merger_join(m, err);
	if (ret)
		return ret;
	atomic_store(&m->done, false);
	ret = thread_start(&m->thread, "merge", merger_thread, m);
	m->started = !ret;
	return ret ? err_set(err, ret, "checkpoint: cannot start a thread: %s", strerror(-ret)) : 0;
}
