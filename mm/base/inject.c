// SPDX-License-Identifier: Apache-2.0
/*
 * Failure points. Contract in inject.h.
 *
 * The state is global because a point is anywhere, and because it stands for the environment of the
 * process. Ranges are written by inject_init() only, before there are threads; counters are atomic.
 */
#include "mm/base/inject.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[INJECT_NR_POINTS] = {
	[INJECT_SWAP_FULL] = "swap-full",	[INJECT_SWAP_WRITE] = "swap-write",
	[INJECT_SWAP_READ] = "swap-read",	[INJECT_SWAP_CORRUPT] = "swap-corrupt",
	[INJECT_STORE_MEMORY] = "store-memory", [INJECT_STORE_CORRUPT] = "store-corrupt",
	[INJECT_EVICT_SLOW] = "evict-slow",	[INJECT_FAULT_AGAIN] = "fault-again",
	[INJECT_MMU_ENTRY] = "mmu-entry",
};

/* Passes @from to @to, counted from 1, fail; an empty range never does. */
struct point {
	u64 from, to;
	_Atomic u64 passed, failed;
};

bool inject_armed;
static struct point points[INJECT_NR_POINTS];

/* "swap-full, swap-write, ..." */
static void list_names(char *text, size_t size)
{
	text[0] = '\0';
	for (u32 i = 0; i < INJECT_NR_POINTS; i++) {
		if (i)
			strncat(text, ", ", size - strlen(text) - 1);
		strncat(text, names[i], size - strlen(text) - 1);
	}
}

static int unknown(const char *word, int len, struct err *err)
{
	char list[200];

	list_names(list, sizeof(list));
	return err_set(err, -EINVAL, "QUIRE_FAULT: there is no point \"%.*s\" (there are: %s)", len,
		       word, list);
}

/* A count as written after ':' or '@': all of @text up to @end, at least 1. */
static bool parse_count(const char *text, const char *end, u64 *n)
{
	char *stop;

	errno = 0;
	*n = strtoull(text, &stop, 10);
	return isdigit((unsigned char)*text) && stop == end && !errno && *n;
}

/* One entry, from @word to @end. */
static int parse_entry(const char *word, const char *end, struct err *err)
{
	size_t len = strcspn(word, ":@,");
	const char *sep = word + len;
	u32 i = 0;
	u64 n = 1;

	while (i < INJECT_NR_POINTS && (strlen(names[i]) != len || memcmp(names[i], word, len)))
		i++;
	if (i == INJECT_NR_POINTS)
		return unknown(word, (int)MIN(len, (size_t)40), err);
	if (sep < end && !parse_count(sep + 1, end, &n))
		return err_set(err, -EINVAL,
			       "QUIRE_FAULT: \"%.*s\" is not NAME, NAME:COUNT or NAME@FIRST (with "
			       "a number of at least 1)",
			       (int)MIN(end - word, 60), word);
	points[i].from = sep < end && *sep == '@' ? n : 1;
	points[i].to = sep < end && *sep == ':' ? n : UINT64_MAX;
	return 0;
}

static void disarm(void)
{
	inject_armed = false;
	for (u32 i = 0; i < INJECT_NR_POINTS; i++) {
		points[i].from = 1;
		points[i].to = 0;
		atomic_store_explicit(&points[i].passed, 0, memory_order_relaxed);
		atomic_store_explicit(&points[i].failed, 0, memory_order_relaxed);
	}
}

int inject_init(const char *text, struct err *err)
{
	disarm();
	if (!text || !*text)
		return 0;
	for (const char *word = text;; word++) {
		const char *end = strchrnul(word, ',');
		int ret = parse_entry(word, end, err);

		if (ret) {
			disarm();
			return ret;
		}
		word = end;
		if (!*end)
			break;
	}
	inject_armed = true;
	return 0;
}

bool inject_hit(enum inject_point point)
{
	struct point *p = &points[point];
	u64 n = atomic_fetch_add_explicit(&p->passed, 1, memory_order_relaxed) + 1;

	if (n < p->from || n > p->to)
		return false;
	atomic_fetch_add_explicit(&p->failed, 1, memory_order_relaxed);
	return true;
}

u64 inject_count(enum inject_point point)
{
	return atomic_load_explicit(&points[point].failed, memory_order_relaxed);
}
