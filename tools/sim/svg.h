// SPDX-License-Identifier: Apache-2.0
/* A finished study as a drawing: faults over memory sizes, a line for each policy. */
#ifndef QUIRE_TOOLS_SIM_SVG_H
#define QUIRE_TOOLS_SIM_SVG_H

#include "tools/sim/study.h"

/* Write @path. -errno with a sentence when that fails. */
int svg_draw(const struct study *st, const char *path, struct err *err);

#endif
