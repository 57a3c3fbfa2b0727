// SPDX-License-Identifier: Apache-2.0
/* Threads that work in the background, and their waiting. */
#ifndef QUIRE_MM_BASE_THREAD_H
#define QUIRE_MM_BASE_THREAD_H

#include <pthread.h>

#include "mm/base/base.h"

/* Start one with all signals blocked: they are the main thread's business. 0 or -errno. */
int thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg);

/* A condition whose waits end by CLOCK_MONOTONIC. */
void thread_cond_init(pthread_cond_t *cond);

/* Wait on it, with @lock held, for at most @ns. */
void thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, u64 ns);

#endif
