// SPDX-License-Identifier: Apache-2.0
/*
 * Latency histograms. Contract in hist.h.
 *
 * A value's bucket is its highest bit and the three bits below it:
 *
 *	value     0 .. 7      8 .. 15     16 .. 31    ...  2^41 .. 2^42 - 1, and more
 *	bucket    0 .. 7      8 .. 15     16 .. 23    ...  312 .. 319
 *	width     1           1           2           ...  2^38
 *
 * Nothing is locked: a reader may see a value's bucket before its sum. So the number of values is
 * taken from the buckets themselves, and a percentile always finds its bucket.
 */
#include "mm/base/hist.h"

#define SUB_BITS 3
#define SUB	 (1u << SUB_BITS)

static u32 bucket_of(u64 value)
{
	u32 high, n;

	if (value < SUB)
		return (u32)value;
	high = 63 - (u32)__builtin_clzll(value);
	n = (high - SUB_BITS + 1) * SUB + (u32)((value >> (high - SUB_BITS)) & (SUB - 1));
	return MIN(n, (u32)HIST_BUCKETS - 1);
}

/* The largest value that bucket @n stands for. */
static u64 bucket_last(u32 n)
{
	u32 shift;

	if (n < SUB)
		return n;
	if (n == HIST_BUCKETS - 1)
		return UINT64_MAX;
	shift = n / SUB - 1;
	return ((u64)(n % SUB + SUB + 1) << shift) - 1;
}

void hist_add(struct hist *hist, u64 value)
{
	u64 max = atomic_load_explicit(&hist->max, memory_order_relaxed);

	atomic_fetch_add_explicit(&hist->buckets[bucket_of(value)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&hist->sum, value, memory_order_relaxed);
	while (value > max &&
	       !atomic_compare_exchange_weak_explicit(&hist->max, &max, value, memory_order_relaxed,
						      memory_order_relaxed))
		;
	/* last, so that a count that was seen has its sum and maximum, on x86 at least */
	atomic_fetch_add_explicit(&hist->count, 1, memory_order_relaxed);
}

/* The value that @percent of @total values do not exceed: the end of the bucket where it falls. */
static u64 percentile(const u64 *buckets, u64 total, u64 max, u32 percent)
{
	u64 rank = (total / 100) * percent + ((total % 100) * percent + 99) / 100;
	u64 seen = 0;

	for (u32 n = 0; n < HIST_BUCKETS; n++) {
		seen += buckets[n];
		if (seen >= rank)
			return MIN(bucket_last(n), max);
	}
	return max;
}

void hist_summarize(const struct hist *hist, struct hist_summary *out)
{
	u64 buckets[HIST_BUCKETS], total = 0;
	u64 count = atomic_load_explicit(&hist->count, memory_order_relaxed);
	u64 sum = atomic_load_explicit(&hist->sum, memory_order_relaxed);
	u64 max = atomic_load_explicit(&hist->max, memory_order_relaxed);

	*out = (struct hist_summary){0};
	for (u32 n = 0; n < HIST_BUCKETS; n++) {
		buckets[n] = atomic_load_explicit(&hist->buckets[n], memory_order_relaxed);
		total += buckets[n];
	}
	if (!count || !total)
		return;
	out->count = count;
	out->mean = sum / count;
	out->p50 = percentile(buckets, total, max, 50);
	out->p99 = percentile(buckets, total, max, 99);
	out->max = max;
}
