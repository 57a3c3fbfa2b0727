// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of guest/abi.h as a structure. Every number is a uint64_t, so that one table can
 * describe all words (options.c).
 */
#ifndef QUIRE_GUEST_WORK_OPTIONS_H
#define QUIRE_GUEST_WORK_OPTIONS_H

#include <stdint.h>

#include "guest/work/line.h"

/* In the order of their words in options.c. */
enum work_job {
	WORK_FILL,
	WORK_VERIFY,
	WORK_ACCESS,
	WORK_EDGE,
	WORK_CHURN,
	WORK_ATTACK,
	WORK_NONE
};
enum work_how { WORK_CALL, WORK_WRITE };
enum work_map { WORK_MAP_2M, WORK_MAP_4K };
enum work_pattern { WORK_SWEEP, WORK_RANDOM, WORK_ZIPF, WORK_SHIFT, WORK_IDLE };
enum work_damage { WORK_FLIP, WORK_STALE, WORK_FOREIGN, WORK_LOST };

#define WORK_NO_PAGE UINT64_MAX /* corrupt= was not given */

struct work_options {
	uint64_t job;	  /* enum work_job */
	uint64_t map;	  /* enum work_map */
	uint64_t how;	  /* enum work_how */
	uint64_t batch;	  /* changes of page tables */
	uint64_t pattern; /* enum work_pattern */
	uint64_t damage;  /* enum work_damage */
	uint64_t cpus;
	uint64_t size; /* bytes; 0 = nearly all there is */
	uint64_t skip; /* bytes */
	uint64_t seed;
	uint64_t random; /* percentages */
	uint64_t zero;
	uint64_t same;
	uint64_t dup;
	uint64_t write;
	uint64_t theta; /* thousandths */
	uint64_t hot;	/* bytes; 0 = not given */
	uint64_t rate;	/* writes per millisecond */
	uint64_t shift_ms;
	uint64_t time_ms;
	uint64_t status_ms;
	uint64_t passes;
	uint64_t ops;
	uint64_t stop;
	uint64_t beat;
	uint64_t gap;
	uint64_t corrupt; /* page number, or WORK_NO_PAGE */
	uint64_t tsc_khz; /* 0 = not given */
};

/*
 * Fill @options from @text, defaults included. Returns 0, or -1 with a sentence in @why when a word
 * is unknown, a value is no number or out of range, or the shares of page kinds exceed 100 percent.
 */
int work_options_parse(struct work_options *options, const char *text, struct line *why);

#endif
