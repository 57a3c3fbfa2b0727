// SPDX-License-Identifier: Apache-2.0
/* Guest-physical memory; the drawing and the rules are in space.h. */
#include "mm/space.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SLOTS 2
#define HUGE_SIZE (2 * MiB)

struct space {
	u64 size;
	enum space_backing backing;
	int fd;	   /* -1 for SPACE_ANON */
	u8 *guest; /* KVM's mapping */
	u8 *alias; /* ours; equal to guest for SPACE_ANON */
	unsigned int nr_slots;
	struct space_slot slots[MAX_SLOTS];
};

/*
 * The file's size is part of the machine's shape: sealed, so that nobody who is handed the
 * descriptor later (a migration target, another process) can turn guest memory into SIGBUS.
 */
static int backing_open(u64 size, enum space_backing backing)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, ret;

	if (backing == SPACE_HUGETLB)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("quire-guest", flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
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

static int map_all(struct space *s)
{
	int ret;

	if (s->backing == SPACE_ANON) {
		ret = map_aligned(s->size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				  &s->guest);
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
	 * Advice only: hosts without huge pages for this kind of memory say no, and that is fine.
	 */
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

int space_create(struct space **out, u64 size, enum space_backing backing)
{
	struct space *s;
	int ret;

	if (size < SPACE_MIN_SIZE || size > SPACE_MAX_SIZE || size % HUGE_SIZE)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->size = size;
	s->backing = backing;
	s->fd = -1;
	if (backing != SPACE_ANON) {
		s->fd = backing_open(size, backing);
		if (s->fd < 0) {
			ret = s->fd;
			goto out_destroy;
		}
	}
	ret = map_all(s);
	if (ret)
		goto out_destroy;
	lay_out_slots(s);
	*out = s;
	return 0;

out_destroy:
	space_destroy(s);
	return ret;
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
 * A memfd counts its pages itself, whoever mapped them. Anonymous memory has only page tables to
 * ask: mincore() would say "resident" for swapped pages too, but no other count covers one mapping
 * alone.
 */
int space_resident(const struct space *s, u64 *bytes)
{
	enum { CHUNK = 4096 };
	unsigned char vec[CHUNK];
	struct stat st;
	u64 found = 0;

	if (s->fd >= 0) {
		if (fstat(s->fd, &st) < 0)
			return -errno;
		*bytes = (u64)st.st_blocks * 512;
		return 0;
	}
	for (u64 at = 0; at < s->size; at += CHUNK * PAGE_SIZE) {
		u64 len = MIN(CHUNK * PAGE_SIZE, s->size - at);

		if (mincore(s->guest + at, len, vec) < 0)
			return -errno;
		for (u64 i = 0; i < len / PAGE_SIZE; i++)
			found += vec[i] & 1;
	}
	*bytes = found * PAGE_SIZE;
	return 0;
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
	if (!len)
		return 0;
	offset = slot->offset + (start.v - slot->start.v);
	if (s->fd < 0)
		return madvise(s->guest + offset, len, MADV_DONTNEED) ? -errno : 0;
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len))
		return -errno;
	return 0;
}

/* The file, in pages. */

void *space_guest_base(const struct space *s)
{
	return s->guest;
}

const void *space_page(const struct space *s, u64 page)
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
	ssize_t got = pread(s->fd, to, len, (off_t)(page << PAGE_SHIFT));

	if (got < 0)
		return -errno;
	return (size_t)got == len ? 0 : -EIO;
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
