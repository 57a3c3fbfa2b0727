// SPDX-License-Identifier: Apache-2.0
/*
 * Guest-physical memory: where it lies, what backs it, and the one door to its contents.
 *
 *   gpa 0            below4g       3 GiB           4 GiB              4 GiB + above4g
 *     |--- slot 0 ------|  (nothing)  |-- PCI hole ---|----- slot 1 -------|
 *
 *   file offset 0 ...................... below4g ........................ size
 *
 * RAM fills the space below SPACE_HOLE_START first; what is left starts at 4 GiB. One file (a
 * sealed memfd by default) backs both slots and is mapped twice:
 *
 *   - the guest mapping, handed to KVM (and later to userfaultfd), through which the guest's own
 *     accesses fault. The VMM never touches it.
 *   - the alias, private to the VMM, through which it reads and writes guest memory without ever
 *     taking one of the guest's faults.
 *
 * A clone (SPACE_CLONE) has one mapping only, a private one of a base: a sealed memfd that holds
 * what another guest's memory held, in the same order. What the guest does not write it shares with
 * all other clones of the base; what it writes is its own, by the host's copy on write.
 *
 * Always true: a slot's gpa, size and offset are page-aligned; slots are sorted and do not overlap;
 * a range that leaves a slot has no pointer, even where the next slot happens to follow in the
 * file.
 *
 * The shape is fixed at creation, so every function here but create and destroy is safe from any
 * thread. The contents are shared with running vCPUs: read a guest structure once, into memory of
 * your own, before checking it.
 *
 * The face of mm/space/, which owns guest memory as the host has it. It uses mm/base and mm/codec,
 * and knows nothing of which page should be where: that is the engine's. Begin here.
 *
 *	own.c		the pages that are a clone's own
 *	space.c		the file, its mappings, and everything in and out of them
 *	uffd.h, uffd.c	pages into and out of the guest mapping: userfaultfd
 *	pager.h		where absent pages come from, if they are not zeros: an interface
 */
#ifndef QUIRE_MM_SPACE_SPACE_H
#define QUIRE_MM_SPACE_SPACE_H

#include "mm/base/addr.h"

#define SPACE_HOLE_START (3 * GiB)
#define SPACE_HOLE_END	 (4 * GiB)
#define SPACE_MIN_SIZE	 (16 * MiB)
#define SPACE_MAX_SIZE	 (1024 * GiB)

enum space_backing {
	SPACE_MEMFD, /* sealed memfd, two mappings; transparent huge pages where the host allows */
	SPACE_ANON,  /* private anonymous memory, one mapping: the alias is the guest mapping */
	SPACE_HUGETLB, /* memfd of 2 MiB hugetlb pages, reserved at creation */
	SPACE_CLONE,   /* private mapping of a base: made by space_create_clone() alone */
};

struct space_slot {
	gpa_t start;
	u64 size;
	u64 offset;  /* into the backing file, and into both mappings */
	void *guest; /* address to give KVM; not to be dereferenced by the VMM */
};

struct space;

/*
 * Reserve @size bytes of guest memory, a multiple of 2 MiB from SPACE_MIN_SIZE to SPACE_MAX_SIZE.
 * Nothing is resident until it is touched (hugetlb pages are reserved, not touched).
 * Returns -EINVAL for a bad size and for SPACE_CLONE, -ENOMEM or another -errno when the host
 * refuses.
 */
int space_create(struct space **out, u64 size, enum space_backing backing);

/*
 * Take over the guest memory of another process: @fd is the memfd that space_create() made there
 * for SPACE_MEMFD (space_fd()), and stays the caller's. What it holds stays, and whoever still has
 * it open shares it. -EINVAL: it is no memfd, cannot be written, is not sealed as space_create()
 * seals (against changes of its size and against further seals, but not against writing), or of a
 * size that guest memory cannot have.
 */
int space_adopt(struct space **out, int fd);

/* The memfd of a SPACE_MEMFD, not to be closed; -1 for all other kinds. */
int space_fd(const struct space *space);

/*
 * A base: create it, fill the @size bytes at *map (or write to the descriptor; what is not written
 * is zeros and takes no memory), then seal it. From then on nobody can change it, by whatever
 * descriptor or mapping; clones can be made of it. Sealing unmaps *map in any case; -EBUSY when
 * somebody else has a writable mapping: then it is no base yet. The descriptor is the caller's, and
 * is not kept open in other programs (close-on-exec). The same sizes and errors as space_create().
 */
int space_base_create(int *fd, u64 size, void **map);
int space_base_seal(int fd, void *map, u64 size);

/*
 * Guest memory that begins as what the base holds. The size is the base's. @base_fd is only looked
 * at: the caller may close it, the base lives as long as a clone of it. -EPERM: it is not sealed.
 *
 * Two things to know of the host. The first access to a page that the base has no memory for, by
 * whichever clone, makes the base take a page of zeros; if it was a write, the clone's own page
 * comes on top. And a page of the base counts for the control group that touched it first.
 */
int space_create_clone(struct space **out, int base_fd);

/*
 * Pages @page to @page + @n of a clone, counted like file pages (see below), go back to what the
 * base holds, and their memory to the host. -EINVAL: not a clone, or not inside it.
 */
int space_revert(struct space *space, u64 page, u64 n);

/*
 * The same for all pages that are a clone's own: those it has written, be it by the guest or by the
 * VMM; *@pages says how many. It takes as long as space_resident() and what there is to give back.
 * The guest must not run.
 */
int space_revert_own(struct space *space, u64 *pages);

/* Unmap and close everything. Every pointer handed out dies here. NULL is allowed. */
void space_destroy(struct space *space);

u64 space_size(const struct space *space);

/*
 * Bytes of guest memory that the host has given pages to; of a clone, its own pages alone, those in
 * the host's swap included. -errno where it cannot be told. A memfd has the number at hand; other
 * kinds walk page tables: measured for a clone, 1 ms for each GiB that was never touched, 10 ms for
 * each that was.
 */
int space_resident(const struct space *space, u64 *bytes);

unsigned int space_nr_slots(const struct space *space);
const struct space_slot *space_slot(const struct space *space, unsigned int i);

/*
 * The door. [start, start + len) must lie inside one slot; NULL if it does not. A length of zero is
 * allowed at any address inside a slot or at its end. space_ptr_mut() is for writing: dirty
 * tracking hangs on the difference, so ask for it only when a write follows.
 */
const void *space_ptr(const struct space *space, gpa_t start, u64 len);
void *space_ptr_mut(struct space *space, gpa_t start, u64 len);

/* Copy into or out of guest memory through the door; -EFAULT when the range is not RAM. */
int space_write(struct space *space, gpa_t start, const void *data, u64 len);
int space_read(const struct space *space, gpa_t start, void *data, u64 len);

/*
 * Give the pages of [start, start + len) back to the host; they read as zeros afterwards.
 * Page-aligned (2 MiB-aligned for hugetlb), inside one slot, else -EINVAL. -EOPNOTSUPP for a clone:
 * what it would read is the base.
 */
int space_punch(struct space *space, gpa_t start, u64 len);

/*
 * For the memory engine (mm/engine/mem.h), which knows pages by their offset in the file, counted
 * in pages across both slots. Only for SPACE_MEMFD; ranges are the caller's to check.
 */
void *space_guest_base(const struct space *space);
void *space_page(const struct space *space, u64 page); /* its contents, through the alias */

/* Whether [start, start + len) is inside one slot; then *page is where it begins, in the file. */
bool space_page_of(const struct space *space, gpa_t start, u64 len, u64 *page);

/*
 * Copy whole pages out of guest memory, mapped or not, and into it (of any kind; holes of a file
 * are not filled by copying out), from places @stride bytes apart; give them back to the host.
 */
int space_copy_pages(const struct space *space, u64 page, u32 n, void *to);
int space_put_pages(struct space *space, u64 page, u32 n, const void *from, size_t stride);
int space_drop_pages(const struct space *space, u64 page, u32 n);

/* The first stretch at or after @from that the file has pages for; false when there is none. */
bool space_next_present(const struct space *space, u64 from, u64 *start, u64 *end);

#endif
