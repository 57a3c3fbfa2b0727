// SPDX-License-Identifier: Apache-2.0
/* Built-in traces, each a pattern on which policies are told apart. The same on every run. */
#ifndef QUIRE_TOOLS_SIM_GENERATE_H
#define QUIRE_TOOLS_SIM_GENERATE_H

#include "mm/policy/trace_file.h"

struct generator {
	const char *name;
	const char *summary;
	u32 nr_refs;
	void (*fill)(u64 *pages, u32 nr);
};

/* An entry without a name ends the table. */
extern const struct generator generators[];

/* -EINVAL with a sentence that lists the names, -ENOMEM. */
int generate(struct trace *t, const char *name, struct err *err);

#endif
