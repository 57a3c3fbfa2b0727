// SPDX-License-Identifier: Apache-2.0
/*
 * A histogram of latencies: fixed size, one writer or any number (counts are atomic and relaxed),
 * readable while it grows. Buckets are powers of two, each cut in eight, so a percentile is right
 * within an eighth: fit for nanoseconds to minutes.
 */
#ifndef QUIRE_MM_BASE_HIST_H
#define QUIRE_MM_BASE_HIST_H

#include <stdatomic.h>

#include "mm/base/base.h"

/* 0..7 exactly, then 39 octaves of eight: up to 2^42 - 1; the last also counts all above. */
#define HIST_BUCKETS 320

struct hist {
	_Atomic u64 count, sum, max;
	_Atomic u64 buckets[HIST_BUCKETS];
};

/* What is left of it to show. All zero when nothing was counted. */
struct hist_summary {
	u64 count, mean, p50, p99, max;
};

void hist_add(struct hist *hist, u64 value);
void hist_summarize(const struct hist *hist, struct hist_summary *out);

#endif
