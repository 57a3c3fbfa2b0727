// SPDX-License-Identifier: Apache-2.0
/* A finished study as a table for people, as JSON for programs, and the trace as numbers. */
#ifndef QUIRE_TOOLS_SIM_REPORT_H
#define QUIRE_TOOLS_SIM_REPORT_H

#include "tools/sim/study.h"

void report_table(const struct study *st);

/* -EIO with a sentence. */
int report_json(const struct study *st, struct err *err);

/* Page numbers as the trace has them; what quire-sim itself reads. */
void report_trace(const struct trace *t);

#endif
