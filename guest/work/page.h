// SPDX-License-Identifier: Apache-2.0
/*
 * What a page must hold, how to write it, and how to tell whether it does: "a page" in guest/abi.h.
 * Pure functions of their arguments, for guests and host tools alike.
 */
#ifndef QUIRE_GUEST_WORK_PAGE_H
#define QUIRE_GUEST_WORK_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/abi.h"
#include "guest/work/options.h"

#define PAGE_WORDS (GUEST_PAGE_SIZE / sizeof(uint64_t))

/* A page as its header and as words. Memory is accessed as this union only, so both views agree. */
union page {
	struct guest_page_header header;
	uint64_t words[PAGE_WORDS];
};

enum page_kind { PAGE_ORDINARY, PAGE_ZERO, PAGE_SAME, PAGE_DUP };

/* What a page holds is said by the run's options and these two. Generation 0 is "never written". */
struct page_id {
	uint64_t number;
	uint32_t generation;
};

/* How a page is wrong. */
enum page_fault {
	PAGE_RIGHT,
	PAGE_STALE,   /* whole, but of an older generation: a write was lost */
	PAGE_EARLY,   /* whole, but of a later generation: its record was lost */
	PAGE_FOREIGN, /* whole, but another page's, or another run's */
	PAGE_LOST,    /* zeros */
	PAGE_CORRUPT, /* anything else */
};

/* The finding about one page, in the terms that its kind of fault needs. */
struct page_finding {
	enum page_fault fault;
	struct page_id found;	 /* STALE, EARLY, FOREIGN: whose contents these are */
	unsigned int offset;	 /* CORRUPT: first byte that differs, */
	uint64_t expected, seen; /* and the 8 aligned bytes around it */
};

enum page_kind page_kind(const struct work_options *options, uint64_t number);

/* Write page @id. About 0.3 us of plain stores and multiplications. */
void page_write(union page *page, const struct work_options *options, struct page_id id);

/* Whether @page holds what @id says. */
bool page_check(const union page *page, const struct work_options *options, struct page_id id);

/*
 * What is the matter with @page, which failed page_check(). @scratch is overwritten with what it
 * should have been. The page may be changing meanwhile (that is one way to be wrong): the finding
 * is then as good as one look can be, and PAGE_RIGHT if it has become right.
 */
void page_examine(const union page *page, const struct work_options *options, struct page_id id,
		  union page *scratch, struct page_finding *finding);

/* Find the first byte in which @page differs from @wanted: PAGE_CORRUPT, or PAGE_RIGHT. */
void page_compare(const union page *page, const union page *wanted, struct page_finding *finding);

/* Whether @page holds @word throughout. */
bool page_is_filled(const union page *page, uint64_t word);

#endif
