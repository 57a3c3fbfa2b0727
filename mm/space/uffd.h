// SPDX-License-Identifier: Apache-2.0
/*
 * userfaultfd and what goes with it: the mechanics of pages coming into and going out of the guest
 * mapping. Which page and why is the business of mm/engine/fault.c and mm/engine/evict.c; this
 * knows page numbers and system calls.
 *
 * Guest memory is a memfd with two mappings (mm/space/space.h). A page is in the file or not, and
 * in the guest mapping or not:
 *
 *   not in the file              a touch is a "missing" event       uffd_copy, uffd_zero map it
 *   in the file, not mapped      a touch is a "minor" event         uffd_continue maps it
 *   in the file, mapped          no event                           uffd_unmap unmaps it
 *   mapped, write-protected      a write is a "protected" event     uffd_protect
 *
 * Every function takes runs of pages and says how far it got. All are safe from any thread.
 */
#ifndef QUIRE_MM_SPACE_UFFD_H
#define QUIRE_MM_SPACE_UFFD_H

#include "mm/base/err.h"
#include "mm/base/addr.h"

struct uffd {
	int fd;
	int self;	      /* this process, for process_madvise() */
	u8 *base;	      /* guest mapping: page 0 */
	page_no nr;	      /* pages of it */
	bool can_protect;     /* write protection of shared memory */
	bool can_continue_wp; /* a page can be mapped write-protected in one step */
	bool can_zero;	      /* zero pages need no copying */
	bool can_batch;	      /* many runs are unmapped in one call */
};

struct uffd_event {
	page_no no;
	bool write;	/* the access was a write */
	bool protected; /* to a write-protected page */
};

struct uffd_run {
	page_no first;
	u32 count;
};

/* Open, without registering anything. A sentence where the host forbids it or is too old. */
int uffd_open(struct uffd *u, struct err *err);
void uffd_close(struct uffd *u);

/* From now on faults in the mapping are events. */
int uffd_register(struct uffd *u, void *base, u64 size, struct err *err);

/* Read what has happened, at most @n events; never waits. 0: nothing. */
u32 uffd_read(struct uffd *u, struct uffd_event *events, u32 n);

/* Whether mapped pages are to be write-protected at once. */
enum uffd_mode { UFFD_WRITABLE, UFFD_PROTECTED };

/*
 * Fill and map [no, no + n), waking whoever waits there. They return the number of pages done,
 * which is less than @n where a page was there already, or -errno when it is 0: -EEXIST, the first
 * was there; -EAGAIN, the kernel wants to be asked again.
 */
s64 uffd_copy(struct uffd *u, page_no no, u32 n, const void *src, enum uffd_mode mode);
s64 uffd_zero(struct uffd *u, page_no no, u32 n);

/* Map pages that are in the file. Likewise. */
s64 uffd_continue(struct uffd *u, page_no no, u32 n, enum uffd_mode mode);

int uffd_protect(struct uffd *u, page_no no, u32 n, enum uffd_mode mode);
void uffd_wake(struct uffd *u, page_no no, u32 n);

/* Take pages out of the guest mapping; they stay in the file. */
int uffd_unmap(struct uffd *u, const struct uffd_run *runs, u32 n);

/* Collect sorted page numbers into runs; returns how many. @runs has room for @n. */
u32 uffd_runs(const page_no *nos, u32 n, struct uffd_run *runs);

#endif
