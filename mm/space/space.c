// SPDX-License-Identifier: Apache-2.0
/*
 * Guest-physical memory: how it is made and mapped, and what goes in and out. The drawing and the
 * rules are in space.h; what is a clone's own, in own.c.
 */
#include "mm/space/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HUGE_SIZE (2 * MiB)

/* What guest memory that is no base is sealed with: its size stays, and the seals do. */
#define MEMFD_SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* A base cannot be changed by any of these ways, nor can this be changed. */
#define BASE_SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL)

/*
 * The file's size is part of the machine's shape: sealed, so that nobody who is handed the
 * descriptor later (a migration target, another process) can turn guest memory into SIGBUS.
 */
static int sealed_open(const char *name, u64 size, unsigned int flags, int seals)
{
	int fd = memfd_create(name, flags | MFD_CLOEXEC | MFD_ALLOW_SEALING), ret;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | seals) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int backing_open(u64 size, enum space_backing backing)
{
	unsigned int flags = backing == SPACE_HUGETLB ? MFD_HUGETLB | MFD_HUGE_2MB : 0;

	return sealed_open("quire-guest", size, flags, MEMFD_SEALS);
}

/*
 * A mapping aligned to 2 MiB, so that host huge pages can lie under guest huge pages: map more than
 * is needed, then return the ends. Hugetlb mappings are aligned by the kernel.
 */
static int map_aligned(u64 size, int flags, int fd, u8 **out)
{
	u64 span = size + HUGE_SIZE;
	u8 *hold, *at;

	hold = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hold == MAP_FAILED)
		return -errno;
	at = (u8 *)(uintptr_t)align_up((uintptr_t)hold, HUGE_SIZE);
	if (mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int ret = -errno;

		munmap(hold, span);
		return ret;
	}
	if (at > hold)
		munmap(hold, (size_t)(at - hold));
	if (at + size < hold + span)
		munmap(at + size, (size_t)(hold + span - (at + size)));
	*out = at;
	return 0;
}

/* @base_fd: for SPACE_CLONE alone. */
static int map_all(struct space *s, int base_fd)
{
	int ret;

	if (s->fd < 0) {
		int flags = MAP_PRIVATE | MAP_NORESERVE | (base_fd < 0 ? MAP_ANONYMOUS : 0);

		ret = map_aligned(s->size, flags, base_fd, &s->guest);
		s->alias = s->guest;
	} else {
		/*
		 * hugetlb reserves at mmap: without NORESERVE a shortage shows here, not as SIGBUS
		 */
		int flags = MAP_SHARED | (s->backing == SPACE_HUGETLB ? 0 : MAP_NORESERVE);

		ret = map_aligned(s->size, flags, s->fd, &s->guest);
		if (!ret)
			ret = map_aligned(s->size, flags, s->fd, &s->alias);
	}
	if (ret)
		return ret;
	/*
	 * Advice only: hosts without huge pages for this kind of memory say no, and that is fine. A
	 * clone copies small pages in any case, and the base would become a huge page larger for
	 * each that a clone finds missing.
	 */
	if (s->backing != SPACE_CLONE)
		madvise(s->guest, s->size, MADV_HUGEPAGE);
	madvise(s->guest, s->size, MADV_DONTDUMP);
	madvise(s->alias, s->size, MADV_DONTDUMP);
	return 0;
}

static void lay_out_slots(struct space *s)
{
	u64 below = MIN(s->size, SPACE_HOLE_START);

	s->slots[0] = (struct space_slot){.start = gpa(0), .size = below, .guest = s->guest};
	s->nr_slots = 1;
	if (s->size > below) {
		s->slots[1] = (struct space_slot){
			.start = gpa(SPACE_HOLE_END),
			.size = s->size - below,
			.offset = below,
			.guest = s->guest + below,
		};
		s->nr_slots = 2;
	}
}

static bool size_is_good(u64 size)
{
	return size >= SPACE_MIN_SIZE && size <= SPACE_MAX_SIZE && !(size % HUGE_SIZE);
}

/* @fd: the file of the space, which is taken over even on an error, or -1. */
static int create(struct space **out, u64 size, enum space_backing backing, int fd, int base_fd)
{
	struct space *s = calloc(1, sizeof(*s));
	int ret;

	if (!s) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	s->size = size;
	s->backing = backing;
	s->fd = fd;
	ret = map_all(s, base_fd);
	if (ret) {
		space_destroy(s);
		return ret;
	}
	lay_out_slots(s);
	*out = s;
	return 0;
}

int space_create(struct space **out, u64 size, enum space_backing backing)
{
	int fd = -1;

	if (!size_is_good(size) || backing == SPACE_CLONE)
		return -EINVAL;
	if (backing != SPACE_ANON)
		fd = backing_open(size, backing);
	if (backing != SPACE_ANON && fd < 0)
		return fd;
	return create(out, size, backing, fd, -1);
}

/* Huge pages have a file system of their own; and what cannot be written is no guest memory. */
static bool is_our_memfd(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);
	struct statfs fs;

	return seals >= 0 && (seals & MEMFD_SEALS) == MEMFD_SEALS &&
	       !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && flags >= 0 &&
	       (flags & O_ACCMODE) == O_RDWR && !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC;
}

int space_adopt(struct space **out, int fd)
{
	struct stat st;
	int own;

	if (!is_our_memfd(fd))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || !size_is_good((u64)st.st_size))
		return -EINVAL;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	return create(out, (u64)st.st_size, SPACE_MEMFD, own, -1);
}

int space_fd(const struct space *s)
{
	return s->backing == SPACE_MEMFD ? s->fd : -1;
}

void space_destroy(struct space *s)
{
	if (!s)
		return;
	if (s->alias && s->alias != s->guest)
		munmap(s->alias, s->size);
	if (s->guest)
		munmap(s->guest, s->size);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

u64 space_size(const struct space *s)
{
	return s->size;
}

unsigned int space_nr_slots(const struct space *s)
{
	return s->nr_slots;
}

const struct space_slot *space_slot(const struct space *s, unsigned int i)
{
	ASSERT(i < s->nr_slots);
	return &s->slots[i];
}

/*
 * Anonymous memory has only page tables to ask: mincore() would say "resident" for swapped pages
 * too, but no other count covers one mapping alone.
 */
static int resident_anon(const struct space *s, u64 *pages)
{
	enum { CHUNK = 4096 };
	unsigned char vec[CHUNK];

	for (u64 at = 0; at < s->size; at += CHUNK * PAGE_SIZE) {
		u64 len = MIN(CHUNK * PAGE_SIZE, s->size - at);

		if (mincore(s->guest + at, len, vec) < 0)
			return -errno;
		for (u64 i = 0; i < len / PAGE_SIZE; i++)
			*pages += vec[i] & 1;
	}
	return 0;
}

int space_resident(const struct space *s, u64 *bytes)
{
	struct stat st;
	u64 pages = 0;
	int ret;

	/* A memfd counts its pages itself, whoever mapped them. */
	if (s->fd >= 0) {
		if (fstat(s->fd, &st) < 0)
			return -errno;
		*bytes = (u64)st.st_blocks * 512;
		return 0;
	}
	ret = s->backing == SPACE_CLONE ? space_count_own(s, &pages) : resident_anon(s, &pages);
	if (!ret)
		*bytes = pages * PAGE_SIZE;
	return ret;
}

/* The slot that holds all of [start, start + len), or NULL. */
static const struct space_slot *slot_of(const struct space *s, gpa_t start, u64 len)
{
	for (unsigned int i = 0; i < s->nr_slots; i++) {
		const struct space_slot *slot = &s->slots[i];

		if (start.v >= slot->start.v &&
		    range_fits(start.v - slot->start.v, len, slot->size))
			return slot;
	}
	return NULL;
}

static u8 *door(const struct space *s, gpa_t start, u64 len)
{
	const struct space_slot *slot = slot_of(s, start, len);

	return slot ? s->alias + slot->offset + (start.v - slot->start.v) : NULL;
}

const void *space_ptr(const struct space *s, gpa_t start, u64 len)
{
	return door(s, start, len);
}

void *space_ptr_mut(struct space *s, gpa_t start, u64 len)
{
	return door(s, start, len);
}

int space_write(struct space *s, gpa_t start, const void *data, u64 len)
{
	void *to = space_ptr_mut(s, start, len);

	if (!to)
		return -EFAULT;
	memcpy(to, data, len);
	return 0;
}

int space_read(const struct space *s, gpa_t start, void *data, u64 len)
{
	const void *from = space_ptr(s, start, len);

	if (!from)
		return -EFAULT;
	memcpy(data, from, len);
	return 0;
}

int space_punch(struct space *s, gpa_t start, u64 len)
{
	const struct space_slot *slot = slot_of(s, start, len);
	u64 unit = s->backing == SPACE_HUGETLB ? HUGE_SIZE : PAGE_SIZE;
	u64 offset;

	if (!slot || start.v % unit || len % unit)
		return -EINVAL;
	if (s->backing == SPACE_CLONE)
		return -EOPNOTSUPP;
	if (!len)
		return 0;
	offset = slot->offset + (start.v - slot->start.v);
	if (s->fd < 0)
		return madvise(s->guest + offset, len, MADV_DONTNEED) ? -errno : 0;
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len))
		return -errno;
	return 0;
}

/* ---- The file, in pages ---- */

void *space_guest_base(const struct space *s)
{
	return s->guest;
}

void *space_page(const struct space *s, u64 page)
{
	return s->alias + (page << PAGE_SHIFT);
}

bool space_page_of(const struct space *s, gpa_t start, u64 len, u64 *page)
{
	const struct space_slot *slot = slot_of(s, start, len);

	if (!slot)
		return false;
	*page = (slot->offset + (start.v - slot->start.v)) >> PAGE_SHIFT;
	return true;
}

/*
 * pread() rather than the alias: it makes no page-table entries, which the alias would need and
 * which dropping the page would have to find and remove again.
 */
int space_copy_pages(const struct space *s, u64 page, u32 n, void *to)
{
	size_t len = (size_t)n << PAGE_SHIFT;
	ssize_t got = (ssize_t)len;

	if (s->fd < 0)
		memcpy(to, space_page(s, page), len);
	else
		got = pread(s->fd, to, len, (off_t)(page << PAGE_SHIFT));
	if (got < 0)
		return -errno;
	return (size_t)got == len ? 0 : -EIO;
}

#define PUT_AT_ONCE 64u

/* The same for pwritev(), which moreover clears no page that is about to be overwritten. */
static int put_some(struct space *s, u64 page, u32 n, const u8 *from, size_t stride)
{
	struct iovec iov[PUT_AT_ONCE];
	ssize_t put;

	for (u32 i = 0; i < n; i++)
		iov[i] = (struct iovec){(void *)(from + i * stride), PAGE_SIZE};
	put = pwritev(s->fd, iov, (int)n, (off_t)(page << PAGE_SHIFT));
	if (put < 0)
		return -errno;
	return (size_t)put == (size_t)n << PAGE_SHIFT ? 0 : -ENOMEM;
}

int space_put_pages(struct space *s, u64 page, u32 n, const void *from, size_t stride)
{
	const u8 *at = from;
	int ret = 0;

	if (s->backing != SPACE_MEMFD) {
		for (u32 i = 0; i < n; i++)
			memcpy(s->alias + ((page + i) << PAGE_SHIFT), at + i * stride, PAGE_SIZE);
		return 0;
	}
	for (u32 i = 0; i < n && !ret; i += PUT_AT_ONCE)
		ret = put_some(s, page + i, MIN(n - i, PUT_AT_ONCE), at + i * stride, stride);
	return ret;
}

int space_drop_pages(const struct space *s, u64 page, u32 n)
{
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(page << PAGE_SHIFT), (off_t)n << PAGE_SHIFT))
		return -errno;
	return 0;
}

bool space_next_present(const struct space *s, u64 from, u64 *start, u64 *end)
{
	off_t data = lseek(s->fd, (off_t)(from << PAGE_SHIFT), SEEK_DATA), hole;

	if (data < 0)
		return false;
	hole = lseek(s->fd, data, SEEK_HOLE);
	*start = (u64)data >> PAGE_SHIFT;
	*end = (hole < 0 ? s->size : (u64)hole) >> PAGE_SHIFT;
	return true;
}

/* ---- Bases and clones ---- */

int space_base_create(int *fd, u64 size, void **map)
{
	int ret;

	if (!size_is_good(size))
		return -EINVAL;
	ret = sealed_open("quire-base", size, 0, 0);
	if (ret < 0)
		return ret;
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ret, 0);
	if (*map == MAP_FAILED) {
		int error = -errno;

		close(ret);
		return error;
	}
	madvise(*map, size, MADV_DONTDUMP);
	*fd = ret;
	return 0;
}

/* The kernel refuses to seal what can still be written through a mapping, so ours goes first. */
int space_base_seal(int fd, void *map, u64 size)
{
	munmap(map, size);
	return fcntl(fd, F_ADD_SEALS, BASE_SEALS) < 0 ? -errno : 0;
}

int space_create_clone(struct space **out, int base_fd)
{
	int seals = fcntl(base_fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(base_fd, &st) < 0)
		return -errno;
	if ((seals & BASE_SEALS) != BASE_SEALS)
		return -EPERM;
	if (!size_is_good((u64)st.st_size))
		return -EINVAL;
	return create(out, (u64)st.st_size, SPACE_CLONE, -1, base_fd);
}
