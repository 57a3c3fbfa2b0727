// SPDX-License-Identifier: Apache-2.0
/*
 * What a plan is made of, measured on a guest that runs on meanwhile: how it writes, by KVM's dirty
 * log, for a second; what a sample of its pages comes to on the wire; how long it takes to stop it
 * and save its state; and how fast the line is (vmm/migrate/line_probe.h).
 */
#ifndef QUIRE_VMM_MIGRATE_PLAN_MEASURE_H
#define QUIRE_VMM_MIGRATE_PLAN_MEASURE_H

#include "mm/base/err.h"
#include "vmm/migrate/migrate.h"
#include "vmm/migrate/plan.h"

struct vm;

struct plan_order {
	struct vm *vm;
	const char *address;
	bool runs;	 /* else it does not write */
	u64 *also_dirty; /* NULL, or where pages are noted too that are found changed */
	const struct migrate_params *params;
	bool (*is_cancelled)(void *opaque);
	void *opaque;
};

/* Whether the way can be told without measuring: its memory can be handed over. */
bool plan_can_hand_over(const struct plan_order *order);

/*
 * On a thread of its own: it takes more than a second. Nobody else harvests the guest's dirty log
 * meanwhile; it is left on. @no_line: NULL, then a line that cannot be measured is an error, or why
 * it could not be, and a usual one is assumed; else empty. -ECANCELED, and what memory and KVM say.
 */
int plan_measure(const struct plan_order *order, struct plan *plan, struct err *no_line,
		 struct err *err);

/* The same for a guest that can be handed over: only what that takes. No line is measured. */
int plan_measure_hand_over(const struct plan_order *order, struct plan *plan, struct err *err);

#endif
