// SPDX-License-Identifier: Apache-2.0
/*
 * A look at a Xen PV guest that was built, through its own page tables (mm/x86/ptwalk.h) and by the
 * byte offsets of Xen's public headers: nothing here uses those headers or the builder.
 */
#ifndef QUIRE_TESTS_VMM_BOOT_PV_GUEST_H
#define QUIRE_TESTS_VMM_BOOT_PV_GUEST_H

#include "mm/x86/ptwalk.h"
#include "tests/vmm/boot/loading.h"

/* struct start_info: byte offsets */
enum {
	SI_MAGIC = 0,
	SI_NR_PAGES = 32,
	SI_SHARED_INFO = 40,
	SI_FLAGS = 48,
	SI_STORE_MFN = 56,
	SI_STORE_EVTCHN = 64,
	SI_CONSOLE_MFN = 72,
	SI_CONSOLE_EVTCHN = 80,
	SI_PT_BASE = 88,
	SI_NR_PT_FRAMES = 96,
	SI_MFN_LIST = 104,
	SI_MOD_START = 112,
	SI_MOD_LEN = 120,
	SI_CMD_LINE = 128,
	SI_FIRST_P2M_PFN = 1152,
	SI_NR_P2M_FRAMES = 1160,
	SI_END = 1168,
};

struct pv_guest {
	const struct space *space;
	const struct pv_boot *boot;
	u64 info; /* where start_info is in memory */
};

/* Finds start_info at the address that @out says; false when nothing is there. */
bool pv_guest_init(struct pv_guest *g, const struct space *space, const struct outcome *out);

u64 pv_info(const struct pv_guest *g, u64 field);
u32 pv_info32(const struct pv_guest *g, u64 field);

/* What the guest reads at @va; false when that faults. */
bool pv_walk(const struct pv_guest *g, u64 va, struct ptwalk_result *r);

/* The place in memory; what is not mapped fails the test by abort(). */
u64 pv_at(const struct pv_guest *g, u64 va);

/* All that the tables map, found without a walk. */
struct pv_census {
	u64 pages;
	u64 tables;  /* the top one, too */
	bool strays; /* some table, or its entry, is not as it has to be */
};

/*
 * Count pages and tables; all tables have to be either of the @nr1 frames from @first1 on, or of
 * the @nr2 from @first2 on.
 */
struct pv_census pv_census(const struct pv_guest *g, u64 first1, u64 nr1, u64 first2, u64 nr2);

#endif
