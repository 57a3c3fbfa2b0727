// SPDX-License-Identifier: Apache-2.0
/*
 * userfaultfd, unmapping, and what this host's kernel can do of it. Contract in uffd.h.
 *
 * The kernel is asked once, when the descriptor is opened; each call then takes the shortest way
 * that there is. No lock and no state but that: the kernel puts calls on the same pages in order.
 */
#include "mm/space/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mm/base/compat.h"
#include "mm/base/inject.h"

#define NEEDED (UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM)
#define WANTED (NEEDED | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

/* One vector of process_madvise(); the kernel's own bound is IOV_MAX. */
#define MAX_BATCH 256

static u64 addr_of(const struct uffd *u, page_no no)
{
	return (u64)(uintptr_t)u->base + ((u64)no << PAGE_SHIFT);
}

static int open_fd(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

/* What the kernel offers. Asking uses the descriptor up. */
static int features_offered(u64 *features)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = open_fd(), ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api))
		ret = -errno;
	*features = api.features;
	close(fd);
	return ret;
}

/* Whether process_madvise() takes MADV_DONTNEED on ourselves (Linux 6.13): asked with nothing. */
static bool batch_works(int self)
{
	struct iovec none = {0};

	return self >= 0 && !syscall(SYS_process_madvise, self, &none, 1, MADV_DONTNEED, 0);
}

int uffd_open(struct uffd *u, struct err *err)
{
	struct uffdio_api api = {.api = UFFD_API};
	u64 offered = 0;
	int ret = features_offered(&offered);

	*u = (struct uffd){.fd = -1, .self = -1};
	if (ret)
		return err_set(err, ret,
			       "userfaultfd: %s (run as root, or set vm.unprivileged_userfaultfd "
			       "to 1)",
			       strerror(-ret));
	if ((offered & NEEDED) != NEEDED)
		return err_set(err, -EOPNOTSUPP,
			       "userfaultfd: this kernel has no minor faults for shared memory "
			       "(Linux 5.14 or newer is needed)");
	u->fd = open_fd();
	if (u->fd < 0)
		return err_set(err, -errno, "userfaultfd: %s", strerror(errno));
	api.features = offered & WANTED;
	if (ioctl(u->fd, UFFDIO_API, &api)) {
		ret = -errno;
		uffd_close(u);
		return err_set(err, ret, "userfaultfd: %s", strerror(-ret));
	}
	u->can_protect = (api.features & WANTED) == WANTED;
	/* both came with Linux 6.4 */
	u->can_continue_wp = u->can_protect && (offered & UFFD_FEATURE_WP_UNPOPULATED);
	u->self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	u->can_batch = batch_works(u->self);
	return 0;
}

void uffd_close(struct uffd *u)
{
	if (u->fd >= 0)
		close(u->fd);
	if (u->self >= 0)
		close(u->self);
	u->fd = u->self = -1;
}

int uffd_register(struct uffd *u, void *base, u64 size, struct err *err)
{
	struct uffdio_register reg = {
		.range = {.start = (u64)(uintptr_t)base, .len = size},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};

	if (u->can_protect)
		reg.mode |= UFFDIO_REGISTER_MODE_WP;
	if (ioctl(u->fd, UFFDIO_REGISTER, &reg))
		return err_set(err, -errno, "userfaultfd: cannot register guest memory: %s",
			       strerror(errno));
	u->base = base;
	u->nr = (page_no)(size >> PAGE_SHIFT);
	u->can_zero = reg.ioctls & ((u64)1 << _UFFDIO_ZEROPAGE);
	return 0;
}

u32 uffd_read(struct uffd *u, struct uffd_event *events, u32 n)
{
	struct uffd_msg msgs[16];
	ssize_t got;
	u32 nr = 0;

	got = read(u->fd, msgs, sizeof(msgs[0]) * MIN(n, ARRAY_SIZE(msgs)));
	for (ssize_t i = 0; i < got / (ssize_t)sizeof(msgs[0]); i++) {
		u64 flags = msgs[i].arg.pagefault.flags;

		if (msgs[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		events[nr++] = (struct uffd_event){
			.no = (page_no)((msgs[i].arg.pagefault.address - (u64)(uintptr_t)u->base) >>
					PAGE_SHIFT),
			.write = flags & UFFD_PAGEFAULT_FLAG_WRITE,
			.protected = flags & UFFD_PAGEFAULT_FLAG_WP,
		};
	}
	return nr;
}

/* The kernel reports bytes done, or an error; in the latter case nothing was done. */
static s64 pages_done(int ret, s64 bytes)
{
	if (bytes > 0)
		return bytes >> PAGE_SHIFT;
	if (bytes < 0)
		return bytes;
	return ret < 0 ? -errno : 0;
}

s64 uffd_copy(struct uffd *u, page_no no, u32 n, const void *src, enum uffd_mode mode)
{
	struct uffdio_copy copy = {
		.dst = addr_of(u, no),
		.src = (u64)(uintptr_t)src,
		.len = (u64)n << PAGE_SHIFT,
		.mode = mode == UFFD_PROTECTED ? UFFDIO_COPY_MODE_WP : 0,
	};

	if (inject(INJECT_FAULT_AGAIN))
		return -EAGAIN;
	return pages_done(ioctl(u->fd, UFFDIO_COPY, &copy), copy.copy);
}

s64 uffd_zero(struct uffd *u, page_no no, u32 n)
{
	static const u8 zeros[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
	struct uffdio_zeropage zero = {
		.range = {.start = addr_of(u, no), .len = (u64)n << PAGE_SHIFT},
	};

	if (!u->can_zero)
		return uffd_copy(u, no, 1, zeros, UFFD_WRITABLE);
	if (inject(INJECT_FAULT_AGAIN))
		return -EAGAIN;
	return pages_done(ioctl(u->fd, UFFDIO_ZEROPAGE, &zero), zero.zeropage);
}

s64 uffd_continue(struct uffd *u, page_no no, u32 n, enum uffd_mode mode)
{
	struct uffdio_continue cont = {
		.range = {.start = addr_of(u, no), .len = (u64)n << PAGE_SHIFT},
		.mode = mode == UFFD_PROTECTED ? UFFDIO_CONTINUE_MODE_WP : 0,
	};

	ASSERT(mode == UFFD_WRITABLE || u->can_continue_wp);
	if (inject(INJECT_FAULT_AGAIN))
		return -EAGAIN;
	return pages_done(ioctl(u->fd, UFFDIO_CONTINUE, &cont), cont.mapped);
}

int uffd_protect(struct uffd *u, page_no no, u32 n, enum uffd_mode mode)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = addr_of(u, no), .len = (u64)n << PAGE_SHIFT},
		.mode = mode == UFFD_PROTECTED ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	while (ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp))
		if (errno != EAGAIN)
			return -errno;
	return 0;
}

void uffd_wake(struct uffd *u, page_no no, u32 n)
{
	struct uffdio_range range = {.start = addr_of(u, no), .len = (u64)n << PAGE_SHIFT};

	/* waking nobody is no error; a wrong range would be ours */
	ASSERT(!ioctl(u->fd, UFFDIO_WAKE, &range));
}

static int unmap_one_by_one(struct uffd *u, const struct uffd_run *runs, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (madvise(u->base + ((u64)runs[i].first << PAGE_SHIFT),
			    (u64)runs[i].count << PAGE_SHIFT, MADV_DONTNEED))
			return -errno;
	return 0;
}

int uffd_unmap(struct uffd *u, const struct uffd_run *runs, u32 n)
{
	struct iovec vec[MAX_BATCH];

	if (n < 2 || n > MAX_BATCH || !u->can_batch)
		return unmap_one_by_one(u, runs, n);
	for (u32 i = 0; i < n; i++)
		vec[i] = (struct iovec){
			.iov_base = u->base + ((u64)runs[i].first << PAGE_SHIFT),
			.iov_len = (u64)runs[i].count << PAGE_SHIFT,
		};
	/* all of it or, for whatever reason, again the other way: unmapping twice does no harm */
	if (syscall(SYS_process_madvise, u->self, vec, n, MADV_DONTNEED, 0) < 0)
		return unmap_one_by_one(u, runs, n);
	return 0;
}

u32 uffd_runs(const page_no *nos, u32 n, struct uffd_run *runs)
{
	u32 nr = 0;

	for (u32 i = 0; i < n; i++) {
		if (nr && runs[nr - 1].first + runs[nr - 1].count == nos[i])
			runs[nr - 1].count++;
		else
			runs[nr++] = (struct uffd_run){.first = nos[i], .count = 1};
	}
	return nr;
}
