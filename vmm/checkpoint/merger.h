// SPDX-License-Identifier: Apache-2.0
/*
 * Merging the old links of a chain beside the saving of new ones: copying a large base must not
 * leave a gap between links. A continuous checkpoint has one merger, on its own thread's stack.
 */
#ifndef QUIRE_VMM_CHECKPOINT_MERGER_H
#define QUIRE_VMM_CHECKPOINT_MERGER_H

#include <pthread.h>
#include <stdatomic.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

/* Links that a continuous checkpoint keeps, and after how many new ones it merges them. */
#define CHAIN_MOST  64
#define CHAIN_AFTER 32

/* All of it but the last two is the owner's, who alone calls what is below. */
struct merger {
	const char *dir;
	pthread_t thread;
	bool started;
	atomic_bool done; /* the thread stores it last, and then touches nothing of this */
	int ret;	  /* the thread's until done */
	struct err err;	  /* likewise */
};

/* Merge, unless that is under way still. Also what an earlier one has failed with. */
int merger_start(struct merger *m, struct err *err);

/* Wait for its end; what came of it. 0 where there is none. */
int merger_join(struct merger *m, struct err *err);

#endif
