// SPDX-License-Identifier: Apache-2.0
/*
 * The file of a link that is being written, and its buffer. Pages are small and come one by one;
 * the file gets whole megabytes, and the device is put to work at once, so that little is left to
 * wait for at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mm/image/format.h"
#include "mm/image/out.h"

#define BUFFER_SIZE (IMAGE_OUT_SIZE + PAGE_SIZE)

/*
 * So much of the file may stay in the page cache, for a restore to find; of what goes beyond it
 * only so much as the device has not written yet. A large copy would push out everything else, and
 * getting new memory for it costs more than writing it.
 */
#define KEPT_CACHED (256 * MiB)
#define IN_FLIGHT   (32 * MiB)

void *image_map(u64 size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

void image_unmap(void *at, u64 size)
{
	if (at)
		munmap(at, size);
}

int image_out_init(struct image_out *out, int fd, bool no_sync)
{
	struct rlimit most;

	*out = (struct image_out){.fd = fd, .no_sync = no_sync, .limit = IMAGE_MAX_OFFSET};
	/* a write beyond the process's limit would not only fail, but kill it */
	if (!getrlimit(RLIMIT_FSIZE, &most) && most.rlim_cur != RLIM_INFINITY)
		out->limit = MIN(out->limit, (u64)most.rlim_cur);
	out->buffer = image_map(BUFFER_SIZE);
	if (out->buffer)
		return 0;
	close(fd);
	out->fd = -1;
	return -ENOMEM;
}

void image_out_fini(struct image_out *out)
{
	image_unmap(out->buffer, BUFFER_SIZE);
	if (out->fd >= 0)
		close(out->fd);
	out->buffer = NULL;
	out->fd = -1;
}

static int write_all(struct image_out *out, u64 size)
{
	for (u64 done = 0; done < size;) {
		u64 at = out->flushed + done, some = MIN(size - done, out->limit - at);
		ssize_t n;

		if (!some)
			return -EFBIG;
		n = pwrite(out->fd, out->buffer + done, some, (off_t)at);
		if (n > 0)
			done += (u64)n;
		else if (!n)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Have the device begin, and let go of what it should be through with. Hints: both may fail. */
static void write_back(const struct image_out *out, u64 size)
{
	sync_file_range(out->fd, (off_t)out->flushed, (off_t)size, SYNC_FILE_RANGE_WRITE);
	if (out->flushed >= KEPT_CACHED + IN_FLIGHT) {
		off_t at = (off_t)(out->flushed - IN_FLIGHT);

		sync_file_range(out->fd, at, IMAGE_OUT_SIZE,
				SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
					SYNC_FILE_RANGE_WAIT_AFTER);
		posix_fadvise(out->fd, at, IMAGE_OUT_SIZE, POSIX_FADV_DONTNEED);
	}
}

/* Write the first @size bytes of the buffer. */
static int flush(struct image_out *out, u64 size)
{
	out->error = write_all(out, size);
	if (out->error)
		return out->error;
	if (!out->no_sync)
		write_back(out, size);
	out->flushed += size;
	out->used -= size;
	memmove(out->buffer, out->buffer + size, out->used);
	return 0;
}

int image_out_advance(struct image_out *out, u32 size)
{
	ASSERT(size <= PAGE_SIZE);
	if (out->error)
		return out->error;
	out->used += size;
	return out->used < IMAGE_OUT_SIZE ? 0 : flush(out, IMAGE_OUT_SIZE);
}

int image_out_append(struct image_out *out, const void *data, u64 size)
{
	for (u64 done = 0; done < size && !out->error;) {
		u32 some = (u32)MIN(size - done, PAGE_SIZE);

		memcpy(image_out_room(out), (const u8 *)data + done, some);
		image_out_advance(out, some);
		done += some;
	}
	return out->error;
}

int image_out_read(struct image_out *out, u64 at, u32 size, void *to)
{
	u32 done = 0;

	ASSERT(range_fits(at, size, image_out_at(out)));
	while (done < size && at + done < out->flushed) {
		ssize_t n = pread(out->fd, (u8 *)to + done,
				  MIN(size - done, out->flushed - at - done), (off_t)(at + done));

		if (n > 0)
			done += (u32)n;
		else if (!n)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	if (done < size)
		memcpy((u8 *)to + done, out->buffer + (at + done - out->flushed), size - done);
	return 0;
}

int image_out_finish(struct image_out *out)
{
	if (!out->error)
		flush(out, out->used);
	if (!out->error && !out->no_sync && fsync(out->fd))
		out->error = -errno;
	return out->error;
}
