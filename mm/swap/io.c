// SPDX-License-Identifier: Apache-2.0
/*
 * Opening, reading and writing the swap file. Contract in io.h.
 *
 * Always true: when swapio_write() returns, the kernel no longer looks at the caller's buffers,
 * whatever failed. A request counts as failed once, however many system calls it took.
 */
#include "mm/swap/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/base/inject.h"
#include "mm/swap/swapfile.h"

/* ---- opening ---- */

static int open_in_directory(const char *path)
{
	char name[4096];
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* not every file system has files without a name */
	if (snprintf(name, sizeof(name), "%s/quire-swap-XXXXXX", path) >= (int)sizeof(name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static int open_directory(struct swapio *io, const char *path, struct err *err)
{
	io->fd = open_in_directory(path);
	if (io->fd < 0)
		return err_set(err, -errno,
			       "--swap %s: cannot make a file in it: %s (name a directory that can "
			       "be written to)",
			       path, strerror(errno));
	io->regular = true;
	return 0;
}

static int open_new(struct swapio *io, const char *path, struct err *err)
{
	io->fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (io->fd < 0)
		return err_set(err, -errno,
			       "--swap %s: cannot make it: %s (name a file in a directory that "
			       "exists and can be written to)",
			       path, strerror(errno));
	unlink(path);
	io->regular = true;
	return 0;
}

/* Ours alone? Then what it held goes. The descriptor is closed by the caller when not. */
static int take_over(struct swapio *io, const char *path, struct err *err)
{
	if (flock(io->fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return err_set(err, -EBUSY,
				       "--swap %s: in use by another guest (give each guest a swap "
				       "file of its own)",
				       path);
		return err_set(err, -errno, "--swap %s: cannot lock it: %s (use a local file)",
			       path, strerror(errno));
	}
	if (io->regular && ftruncate(io->fd, 0))
		return err_set(err, -errno, "--swap %s: cannot empty it: %s (use another file)",
			       path, strerror(errno));
	if (!io->regular && ioctl(io->fd, BLKGETSIZE64, &io->capacity))
		return err_set(err, -errno, "--swap %s: cannot tell its size: %s (use a file)",
			       path, strerror(errno));
	return 0;
}

static int open_existing(struct swapio *io, const char *path, mode_t mode, struct err *err)
{
	int ret;

	if (!S_ISREG(mode) && !S_ISBLK(mode))
		return err_set(
			err, -EINVAL,
			"--swap %s: neither a file, a directory nor a block device (name one "
			"of these)",
			path);
	/* O_EXCL on a block device is refused while it is mounted or swapped to */
	io->fd = open(path, O_RDWR | O_CLOEXEC | (S_ISBLK(mode) ? O_EXCL : 0));
	if (io->fd < 0)
		return err_set(err, -errno, "--swap %s: cannot open it: %s (%s)", path,
			       strerror(errno),
			       errno == EBUSY ? "unmount it, or name another"
					      : "name one that can be read and written");
	io->regular = S_ISREG(mode);
	io->named = true;
	ret = take_over(io, path, err);
	if (ret)
		close(io->fd);
	return ret;
}

static int open_path(struct swapio *io, const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st)) {
		if (errno == ENOENT)
			return open_new(io, path, err);
		return err_set(err, -errno,
			       "--swap %s: %s (name a directory, a file or a block device)", path,
			       strerror(errno));
	}
	if (S_ISDIR(st.st_mode))
		return open_directory(io, path, err);
	return open_existing(io, path, st.st_mode, err);
}

static const char *default_path(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

/* The least of the sizes that bound it, 0 meaning none. */
static u64 bounded(u64 a, u64 b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

int swapio_open(struct swapio *io, const struct swapfile_config *cfg, struct err *err)
{
	struct rlimit most;
	int ret, flags;

	*io = (struct swapio){.fd = -1};
	ret = open_path(io, cfg->path ? cfg->path : default_path(), err);
	if (ret)
		return ret;
	io->capacity = bounded(io->capacity, cfg->limit);
	/* a write beyond the process's file size limit would not only fail, but kill us */
	if (io->regular && !getrlimit(RLIMIT_FSIZE, &most) && most.rlim_cur != RLIM_INFINITY)
		io->capacity = bounded(io->capacity, MAX(most.rlim_cur, 1));
	flags = fcntl(io->fd, F_GETFL);
	io->direct = flags >= 0 && !fcntl(io->fd, F_SETFL, flags | O_DIRECT);
	io->ringed = !io_uring_queue_init(SWAPIO_DEPTH, &io->ring, 0);
	return 0;
}

void swapio_close(struct swapio *io)
{
	if (io->ringed)
		io_uring_queue_exit(&io->ring);
	/* nothing of the guest's memory stays behind in a file that does */
	if (io->named && io->regular && ftruncate(io->fd, 0))
		atomic_fetch_add(&io->errors, 1);
	close(io->fd);
}

/* ---- blocks in and out ---- */

/*
 * Whether to try a request again that failed with @error: interrupted ones, and those that the
 * file system refuses only because they go past the page cache (it may say so as late as this, but
 * then at the first write, before anyone reads).
 */
static bool again(struct swapio *io, int error)
{
	int flags;

	if (error == EINTR)
		return true;
	if (error != EINVAL || !io->direct)
		return false;
	flags = fcntl(io->fd, F_GETFL);
	if (flags < 0 || fcntl(io->fd, F_SETFL, flags & ~O_DIRECT))
		return false;
	io->direct = false;
	return true;
}

/* The rest of @req, of which @done bytes are written. */
static int write_rest(struct swapio *io, const struct swapio_req *req, u32 done)
{
	while (done < req->size) {
		ssize_t n = pwrite(io->fd, (const u8 *)req->data + done, req->size - done,
				   (off_t)(req->offset + done));

		if (n > 0)
			done += (u32)n;
		else if (!n)
			return -EIO;
		else if (!again(io, errno))
			return -errno;
	}
	return 0;
}

/* The ring does not work (any more): wait for what it took, then do without. */
static void ring_broken(struct swapio *io, u32 n)
{
	while (io_uring_cq_ready(&io->ring) < n - io_uring_sq_ready(&io->ring))
		sched_yield();
	io_uring_queue_exit(&io->ring);
	io->ringed = false;
}

/*
 * Hand all to the ring and wait for all. @results: bytes written or -errno for each; 0 where the
 * ring did not get to it.
 */
static void ring_write(struct swapio *io, const struct swapio_req *reqs, u32 n, s32 *results)
{
	struct io_uring_cqe *cqe;

	for (u32 i = 0; i < n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

		/* it is as deep as SWAPIO_DEPTH, and was empty */
		ASSERT(sqe);
		io_uring_prep_write(sqe, io->fd, reqs[i].data, reqs[i].size, reqs[i].offset);
		io_uring_sqe_set_data64(sqe, i);
	}
	while (io_uring_cq_ready(&io->ring) < n) {
		int ret = io_uring_submit_and_wait(&io->ring, n);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
			ring_broken(io, n);
			return;
		}
	}
	for (u32 i = 0; i < n && !io_uring_peek_cqe(&io->ring, &cqe); i++) {
		results[cqe->user_data] = cqe->res;
		io_uring_cqe_seen(&io->ring, cqe);
	}
}

/* What the caller needs to tell apart is "full" and "broken"; full has several names. */
static int full_or_broken(int ret)
{
	return ret == -EDQUOT || ret == -EFBIG ? -ENOSPC : ret;
}

int swapio_write(struct swapio *io, const struct swapio_req *reqs, u32 n)
{
	s32 results[SWAPIO_DEPTH] = {0};
	int ret = 0;

	ASSERT(n <= SWAPIO_DEPTH);
	if (inject(INJECT_SWAP_FULL))
		return -ENOSPC;
	if (inject(INJECT_SWAP_WRITE)) {
		atomic_fetch_add(&io->errors, 1);
		return -EIO;
	}
	if (io->ringed && n > 1)
		ring_write(io, reqs, n, results);
	for (u32 i = 0; i < n; i++) {
		int one = results[i];

		if (one >= 0 || again(io, -one))
			one = write_rest(io, &reqs[i], (u32)MAX(one, 0));
		atomic_fetch_add(&io->writes, 1);
		atomic_fetch_add(one ? &io->errors : &io->written_bytes, one ? 1 : reqs[i].size);
		if (one && !ret)
			ret = full_or_broken(one);
	}
	return ret;
}

static int read_all(struct swapio *io, u8 *data, u64 offset, u32 size)
{
	if (inject(INJECT_SWAP_READ))
		return -EIO;
	for (u32 done = 0; done < size;) {
		ssize_t n = pread(io->fd, data + done, size - done, (off_t)(offset + done));

		if (n > 0)
			done += (u32)n;
		else if (!n)
			return -EIO; /* somebody cut the file short */
		else if (!again(io, errno))
			return -errno;
	}
	return 0;
}

int swapio_read(struct swapio *io, void *data, u64 offset, u32 size)
{
	int ret = read_all(io, data, offset, size);

	atomic_fetch_add(&io->reads, 1);
	atomic_fetch_add(ret ? &io->errors : &io->read_bytes, ret ? 1 : size);
	return ret;
}

void swapio_punch(struct swapio *io, u64 offset, u64 size)
{
	/* where the file system has no holes, the space stays ours and is used again */
	if (fallocate(io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)size) &&
	    errno != EOPNOTSUPP)
		atomic_fetch_add(&io->errors, 1);
}
