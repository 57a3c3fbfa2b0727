// SPDX-License-Identifier: Apache-2.0
/* Access patterns: see pattern.h. */
#include "guest/abi.h"
#include "guest/work/pattern.h"
#include "guest/work/random.h"

/*
 * A prime above any number of pages: multiplying by it modulo that number is a permutation, which
 * scatters the popular ranks of a Zipf distribution over the memory.
 */
#define SCATTER 4294967291u

uint64_t pattern_hot_pages(const struct work_options *options, uint64_t slice)
{
	uint64_t hot = options->hot / GUEST_PAGE_SIZE / options->cpus;

	if (!options->hot)
		hot = options->pattern == WORK_SHIFT ? slice / 8 : slice;
	if (!hot)
		hot = 1;
	return hot < slice ? hot : slice;
}

void pattern_init(struct pattern *pattern, const struct work_options *options,
		  const struct zipf *zipf, uint64_t slice, uint64_t random)
{
	*pattern = (struct pattern){
		.options = options,
		.zipf = zipf,
		.slice = slice,
		.hot = pattern_hot_pages(options, slice),
		.random = random,
	};
}

static void shift_window(struct pattern *pattern, uint64_t now)
{
	if (!pattern->shift_at) {
		pattern->shift_at = now;
	} else if (now < pattern->shift_at) {
		return;
	} else {
		pattern->start = (pattern->start + pattern->hot) % pattern->slice;
	}
	pattern->shift_at += pattern->options->shift_ms * 1000000;
}

uint64_t pattern_next(struct pattern *pattern, uint64_t now)
{
	uint64_t page;

	switch (pattern->options->pattern) {
	case WORK_SWEEP:
		page = pattern->next++;
		return page % pattern->hot;
	case WORK_ZIPF:
		page = zipf_draw(pattern->zipf, &pattern->random);
		return page * SCATTER % pattern->hot;
	case WORK_SHIFT:
		shift_window(pattern, now);
		page = random_below(&pattern->random, pattern->hot);
		return (pattern->start + page) % pattern->slice;
	default:
		return random_below(&pattern->random, pattern->hot);
	}
}
