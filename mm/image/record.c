// SPDX-License-Identifier: Apache-2.0
/*
 * The working set beside an image: page numbers in the order of their first touch. It is advice, so
 * a file that is damaged, or of another guest, is as good as none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/image/format.h"

#define NAME  "working-set"
#define MAGIC "quirewks"

struct record_header {
	u8 magic[8];
	u32 version;
	u32 n;	 /* numbers of pages, 32 bits each, which follow */
	u64 sum; /* of them */
};

_Static_assert(sizeof(struct record_header) == 24, "the format");

static int write_all(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const u8 *)data + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (!n || errno != EINTR)
			return n ? -errno : -EIO;
	}
	return 0;
}

static int write_record(int fd, const page_no *nos, u32 n)
{
	struct record_header h = {
		.version = IMAGE_VERSION,
		.n = n,
		.sum = image_sum(nos, (u64)n * sizeof(*nos)),
	};
	int ret;

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	ret = write_all(fd, &h, sizeof(h));
	return ret ? ret : write_all(fd, nos, n * sizeof(*nos));
}

int image_record(const char *dir, const page_no *nos, u32 n, struct err *err)
{
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, ret;
	char tmp[sizeof(NAME) + 32];

	if (dirfd < 0)
		return err_set(err, -errno, "%s: cannot open it: %s", dir, strerror(errno));
	/* two guests may have been restored from it */
	snprintf(tmp, sizeof(tmp), NAME ".%d.tmp", (int)getpid());
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ret = fd < 0 ? -errno : write_record(fd, nos, n);
	if (!ret && renameat(dirfd, tmp, dirfd, NAME))
		ret = -errno;
	if (ret) {
		err_set(err, ret, "%s/" NAME ": cannot write it: %s", dir, strerror(-ret));
		unlinkat(dirfd, tmp, 0);
	}
	if (fd >= 0)
		close(fd);
	close(dirfd);
	return ret;
}

static bool read_all(int fd, void *to, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, (u8 *)to + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (!n || errno != EINTR)
			return false;
	}
	return true;
}

static bool numbers_sane(const struct record_header *h, const page_no *nos, u32 nr_pages)
{
	if (h->sum != image_sum(nos, (u64)h->n * sizeof(*nos)))
		return false;
	for (u32 i = 0; i < h->n; i++)
		if (nos[i] >= nr_pages)
			return false;
	return true;
}

/* -ENODATA: nothing to go by. */
static int read_record(int fd, u32 nr_pages, page_no **nos, u32 *n)
{
	struct record_header h;
	struct stat st;
	int ret = -ENODATA;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !read_all(fd, &h, sizeof(h)) ||
	    memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 || h.version != IMAGE_VERSION || !h.n ||
	    h.n > nr_pages || (u64)st.st_size != sizeof(h) + (u64)h.n * sizeof(**nos))
		return ret;
	*nos = malloc((u64)h.n * sizeof(**nos));
	if (!*nos)
		return -ENOMEM;
	if (read_all(fd, *nos, (u64)h.n * sizeof(**nos)) && numbers_sane(&h, *nos, nr_pages)) {
		*n = h.n;
		return 0;
	}
	free(*nos);
	*nos = NULL;
	return ret;
}

int image_recorded(const char *dir, u32 nr_pages, page_no **nos, u32 *n)
{
	char path[4096];
	int fd, ret;

	*nos = NULL;
	*n = 0;
	if (snprintf(path, sizeof(path), "%s/" NAME, dir) >= (int)sizeof(path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	ret = read_record(fd, nr_pages, nos, n);
	close(fd);
	return ret == -ENODATA ? 0 : ret;
}
