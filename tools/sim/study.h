// SPDX-License-Identifier: Apache-2.0
/* A study: one trace, some policies, some memory sizes, and what came of each pair. */
#ifndef QUIRE_TOOLS_SIM_STUDY_H
#define QUIRE_TOOLS_SIM_STUDY_H

#include "tools/sim/opt.h"
#include "tools/sim/options.h"

#define MAX_CURVES 32

/* What was evicted, in order; dense page numbers. */
struct victims {
	u32 *pages;
	u64 nr, max;
	bool lost; /* memory was short */
};

/* One policy over all sizes. */
struct curve {
	struct policy_choice choice; /* .ops is NULL for OPT */
	struct outcome *outcomes;    /* one for each size */
	struct victims *victims;     /* the same, or NULL */
};

struct study {
	const char *name;
	struct trace trace;
	struct numbers sizes;
	struct curve curves[MAX_CURVES];
	u32 nr_curves;
	struct working_set *windows;
	u32 nr_windows;
};

static inline bool is_opt(const struct curve *c)
{
	return !c->choice.ops;
}

/*
 * Read what the options ask for, given st->trace; replay it all. -errno with a sentence. The study
 * is to be freed in any case.
 */
int study_prepare(struct study *st, const struct options *o, struct err *err);
int study_run(struct study *st, const struct options *o, struct err *err);
void study_free(struct study *st);

#endif
