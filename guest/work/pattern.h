// SPDX-License-Identifier: Apache-2.0
/*
 * Which page next: the patterns of job=access, as one worker goes through its own slice of memory.
 */
#ifndef QUIRE_GUEST_WORK_PATTERN_H
#define QUIRE_GUEST_WORK_PATTERN_H

#include <stdint.h>

#include "guest/work/options.h"
#include "guest/work/zipf.h"

struct pattern {
	const struct work_options *options;
	const struct zipf *zipf;
	uint64_t slice;	   /* pages of the slice */
	uint64_t hot;	   /* pages in use at a time, at most slice */
	uint64_t start;	   /* first of them: 0, or where shift's window is */
	uint64_t next;	   /* sweep: next page */
	uint64_t shift_at; /* shift: time of the next move */
	uint64_t random;   /* state of the generator */
};

/* Pages that one of the workers uses at a time, out of a slice of @slice pages. At least 1. */
uint64_t pattern_hot_pages(const struct work_options *options, uint64_t slice);

/* @random: any number, other for each worker. @zipf: made for pattern_hot_pages() ranks. */
void pattern_init(struct pattern *pattern, const struct work_options *options,
		  const struct zipf *zipf, uint64_t slice, uint64_t random);

/* The next page, counted from the start of the slice. @now moves the window of pattern=shift. */
uint64_t pattern_next(struct pattern *pattern, uint64_t now);

#endif
