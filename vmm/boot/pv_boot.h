// SPDX-License-Identifier: Apache-2.0
/*
 * What a Xen PV guest begins with, for those who run it; vmm/boot/pv_build.h puts it into memory.
 * And the two names of its pages:
 *
 *   frame  the "machine frame number": the page's guest-physical frame in struct space. In page
 *          tables, in hypercalls. Nothing lies in the PCI hole.
 *   pfn    the pseudo-physical one: from 0 to nr_pages - 1 without a hole, slot 0 first
 *
 * The last page of memory has a frame and no pfn: it is shared_info, which the guest maps by its
 * frame and does not own. All of this follows from the size of memory, so there is nothing to save.
 */
#ifndef QUIRE_VMM_BOOT_PV_BOOT_H
#define QUIRE_VMM_BOOT_PV_BOOT_H

#include "mm/base/addr.h"
#include "mm/space/space.h"

/* Instead of a number, where a page has none. */
#define PV_NONE (~(u64)0)

/* How the first vCPU starts: at CPL 3, in long mode, with rsi = start_info. */
struct pv_boot {
	u64 rip;	   /* virtual */
	u64 rsp;	   /* virtual: where the boot stack ends */
	u64 start_info;	   /* virtual */
	gfn_t root;	   /* frame of the top page table */
	gfn_t shared_info; /* frame */
	gfn_t console;	   /* frame of the console's ring */
	gfn_t store;	   /* frame of the xenstore's ring */
	u64 nr_pages;	   /* pfns there are */
};

/* What a guest in @space has: all pages but one. */
u64 pv_nr_pages(const struct space *space);

gfn_t pv_shared_info_frame(const struct space *space);

/* Any numbers, as from a guest; PV_NONE comes back for what is no page of it. */
gfn_t pv_frame_of_pfn(const struct space *space, u64 pfn);
u64 pv_pfn_of_frame(const struct space *space, gfn_t frame);

#endif
