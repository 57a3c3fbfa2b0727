// SPDX-License-Identifier: Apache-2.0
/*
 * Where everything goes that a Xen PV guest begins with, and whether it fits; nothing is written
 * here. Places are guest-physical, which in slot 0 is pseudo-physical as well, and all of it lies
 * there:
 *
 *   0    kernel    | initrd | page list | start_info, xenstore, console | page tables | stack | pad
 *   |---- seen from VIRT_BASE on, to a 4 MiB boundary of addresses ------------------------------|
 *                    (1)      (2)                                                         map_size
 *
 *   behind that    | page list, tables for it |  (free)  | initrd |  the end of slot 0
 *                    (2)                                   (1)
 *
 * (1) The initrd is behind all else for a kernel that takes its pfn (MOD_START_PFN).
 * (2) The page list, called p2m, is behind the mapping for a kernel that says at which address it
 *     wants it (INIT_P2M). It lies right behind: Linux takes its first pfn for the end of what is
 *     mapped.
 *
 * Source: Xen, public/xen.h, "Start-of-day memory layout"; public/elfnote.h.
 */
#ifndef QUIRE_VMM_BOOT_PV_LAYOUT_H
#define QUIRE_VMM_BOOT_PV_LAYOUT_H

#include "vmm/boot/kernel_image.h"

struct pv_layout {
	u64 base; /* VIRT_BASE: the address of physical 0 */
	u64 map_size;
	u64 initrd;
	u64 initrd_size; /* in the file; 0: there is none */
	u64 p2m;
	u64 p2m_size;	   /* whole pages */
	u64 p2m_va;	   /* its address, whether in the mapping or not */
	u64 p2m_tables;	   /* of their own, behind the list */
	u64 nr_p2m_tables; /* 0: it is in the mapping */
	u64 start_info;
	u64 store;
	u64 console;
	u64 tables; /* the top one first */
	u64 nr_tables;
	u64 stack;
	u64 need; /* bytes of slot 0 that all this takes */
};

/*
 * Lay out @image, loaded with BOOT_XEN_PV, with an initrd of @initrd_size bytes, or 0, in @space.
 * -ENOEXEC and a sentence for a kernel that wants what cannot be, -E2BIG for what does not fit.
 */
int pv_layout_init(struct pv_layout *layout, const struct space *space,
		   const struct kernel_image *image, u64 initrd_size, struct err *err);

#endif
