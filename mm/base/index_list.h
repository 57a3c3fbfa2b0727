// SPDX-License-Identifier: Apache-2.0
/*
 * Lists of small numbers, such as pages, without an allocation per entry: the links of all numbers
 * lie in one array of 8 bytes each, and any number of lists share it as long as a number is in one
 * of them at a time. Each list is a ring, so turning it by one place writes no link at all: that is
 * what a clock's hand does.
 *
 * Always true: a number is in a list exactly while its links are not zero, so an array fresh from
 * calloc() is one of numbers in no list, and what is never used is never touched. Numbers are
 * stored as number + 1 for that. INDEX_NONE is no number.
 */
#ifndef QUIRE_MM_BASE_INDEX_LIST_H
#define QUIRE_MM_BASE_INDEX_LIST_H

#include "mm/base/base.h"

#define INDEX_NONE UINT32_MAX

struct index_link {
	u32 prev, next; /* number + 1 */
};

/* All zero is the empty list. */
struct index_list {
	u32 head; /* number + 1 of the first; 0: empty */
	u32 nr;
};

static inline bool index_is_listed(const struct index_link *links, u32 i)
{
	return links[i].next;
}

/* INDEX_NONE when the list is empty. */
static inline u32 index_first(const struct index_list *list)
{
	return list->head - 1;
}

static inline u32 index_last(const struct index_link *links, const struct index_list *list)
{
	return list->head ? links[list->head - 1].prev - 1 : INDEX_NONE;
}

/* Link the rings that begin at @a and at @b (both number + 1) into one, @b behind the end of @a. */
static inline void index_splice(struct index_link *links, u32 a, u32 b)
{
	u32 a_last = links[a - 1].prev, b_last = links[b - 1].prev;

	links[a_last - 1].next = b;
	links[b - 1].prev = a_last;
	links[b_last - 1].next = a;
	links[a - 1].prev = b_last;
}

/* Append @i, which is in no list. */
static inline void index_push(struct index_link *links, struct index_list *list, u32 i)
{
	ASSERT(!index_is_listed(links, i));
	links[i] = (struct index_link){.prev = i + 1, .next = i + 1};
	if (list->head)
		index_splice(links, list->head, i + 1);
	else
		list->head = i + 1;
	list->nr++;
}

/* Take @i out of @list, where it is. */
static inline void index_remove(struct index_link *links, struct index_list *list, u32 i)
{
	struct index_link old = links[i];

	ASSERT(old.next && list->nr);
	links[old.prev - 1].next = old.next;
	links[old.next - 1].prev = old.prev;
	links[i] = (struct index_link){0};
	list->nr--;
	if (list->head == i + 1)
		list->head = list->nr ? old.next : 0;
}

/* Take the first out; the list is not empty. */
static inline u32 index_pop(struct index_link *links, struct index_list *list)
{
	u32 i = index_first(list);

	index_remove(links, list, i);
	return i;
}

/* The first becomes the last; the list is not empty. */
static inline void index_rotate(const struct index_link *links, struct index_list *list)
{
	list->head = links[list->head - 1].next;
}

/* Append all of @from, which is empty then, to @list. */
static inline void index_join(struct index_link *links, struct index_list *list,
			      struct index_list *from)
{
	if (from->head && list->head)
		index_splice(links, list->head, from->head);
	else if (from->head)
		list->head = from->head;
	list->nr += from->nr;
	*from = (struct index_list){0};
}

#endif
