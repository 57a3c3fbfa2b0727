// SPDX-License-Identifier: Apache-2.0
/*
 * The pages that are a clone's own: found, counted, and given back for the base's. Contracts in
 * space.h and impl.h.
 *
 * A clone's own pages are those of its mapping that do not belong to the file. Of the ways to ask,
 * pagemap has been there longest (since Linux 3.5). PAGEMAP_SCAN (6.7) was measured to be faster
 * only where nothing was touched, smaps is slower everywhere, and mincore() does not tell the
 * base's pages from the clone's.
 */
#include "mm/space/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Entries of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst) */
#define PM_FILE	   (1ull << 61)
#define PM_SWAPPED (1ull << 62)
#define PM_PRESENT (1ull << 63)

/* What to do with a stretch of pages that are a clone's own. -errno ends the walk. */
typedef int (*own_fn)(const struct space *s, u64 page, u64 n, u64 *sum);

static bool is_own(u64 entry)
{
	return (entry & (PM_PRESENT | PM_SWAPPED)) && !(entry & PM_FILE);
}

/* The stretches among @n pages from @page on, of which @entry says what they are. */
static int find_own(const struct space *s, const u64 *entry, u64 page, u64 n, own_fn fn, u64 *sum)
{
	int ret = 0;

	for (u64 i = 0, end; i < n && !ret; i = end + 1) {
		for (end = i; end < n && is_own(entry[end]);)
			end++;
		if (end > i)
			ret = fn(s, page + i, end - i, sum);
	}
	return ret;
}

static int walk_own(const struct space *s, int pagemap, own_fn fn, u64 *sum)
{
	enum { CHUNK = 512 };
	u64 entry[CHUNK], first = (uintptr_t)s->guest >> PAGE_SHIFT, n = s->size >> PAGE_SHIFT;
	int ret = 0;

	for (u64 done = 0; done < n && !ret;) {
		u64 want = MIN(CHUNK, n - done);
		ssize_t got = pread(pagemap, entry, want * sizeof(entry[0]),
				    (off_t)((first + done) * sizeof(entry[0])));

		if (got <= 0 || got % (ssize_t)sizeof(entry[0]))
			return got < 0 ? -errno : -EIO;
		ret = find_own(s, entry, done, (u64)got / sizeof(entry[0]), fn, sum);
		done += (u64)got / sizeof(entry[0]);
	}
	return ret;
}

static int for_each_own(const struct space *s, own_fn fn, u64 *sum)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = walk_own(s, fd, fn, sum);
	close(fd);
	return ret;
}

static int count_own(const struct space *s, u64 page, u64 n, u64 *sum)
{
	(void)s;
	(void)page;
	*sum += n;
	return 0;
}

static int revert(const struct space *s, u64 page, u64 n, u64 *sum)
{
	if (sum)
		*sum += n;
	if (madvise(s->guest + (page << PAGE_SHIFT), n << PAGE_SHIFT, MADV_DONTNEED))
		return -errno;
	return 0;
}

int space_count_own(const struct space *s, u64 *pages)
{
	*pages = 0;
	return for_each_own(s, count_own, pages);
}

int space_revert(struct space *s, u64 page, u64 n)
{
	if (s->backing != SPACE_CLONE || !range_fits(page, n, s->size >> PAGE_SHIFT))
		return -EINVAL;
	return revert(s, page, n, NULL);
}

int space_revert_own(struct space *s, u64 *pages)
{
	*pages = 0;
	return s->backing == SPACE_CLONE ? for_each_own(s, revert, pages) : -EINVAL;
}
