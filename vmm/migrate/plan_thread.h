// SPDX-License-Identifier: Apache-2.0
/*
 * A thread that measures what a plan of a migration needs (vmm/migrate/plan_measure.h), and no
 * more.
 */
#ifndef QUIRE_VMM_MIGRATE_PLAN_THREAD_H
#define QUIRE_VMM_MIGRATE_PLAN_THREAD_H

#include "vmm/migrate/plan_measure.h"

struct planning;

/* The order is copied, its address and parameters too; the VM must outlive the thread. */
int planning_start(struct planning **out, const struct plan_order *order, struct err *err);

enum planning_status { PLANNING_NONE, PLANNING_MEASURING, PLANNING_READY, PLANNING_FAILED };

struct planning_progress {
	enum planning_status status;
	struct plan plan;   /* of PLANNING_READY */
	struct err no_line; /* of that: why no line was measured, or empty */
	struct err why;	    /* of PLANNING_FAILED */
};

void planning_progress(struct planning *p, struct planning_progress *progress);

/* Give up what is under way, wait for it, and free everything. NULL is allowed. */
void planning_destroy(struct planning *p);

#endif
