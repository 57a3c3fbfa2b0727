// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest entered by PVH is told: one start_info with its lists in the page MEMMAP_BOOT_INFO.
 *
 * Source: Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h. All fields little-endian.
 */
#ifndef QUIRE_VMM_BOOT_PVH_H
#define QUIRE_VMM_BOOT_PVH_H

#include "vmm/boot/kernel_image.h"

#define PVH_MAGIC   0x336ec578u /* "xEn3", with bit 7 of the E set */
#define PVH_VERSION 1u		/* the first with a memory map */

struct pvh_start_info {
	u32 magic;
	u32 version;
	u32 flags; /* of Xen's own: 0 */
	u32 nr_modules;
	u64 modlist_paddr;
	u64 cmdline_paddr;
	u64 rsdp_paddr;
	u64 memmap_paddr;
	u32 memmap_entries;
	u32 reserved;
};

struct pvh_module {
	u64 paddr;
	u64 size;
	u64 cmdline_paddr; /* of the module: 0, none */
	u64 reserved;
};

struct pvh_memmap_entry {
	u64 addr;
	u64 size;
	u32 type; /* enum memmap_type */
	u32 reserved;
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(sizeof(struct pvh_memmap_entry) == 24, "start_info.h");

/* Write it all, for the memory of @space and @parts; returns where the start_info is. */
gpa_t pvh_write_info(struct space *space, const struct boot_parts *parts);

#endif
