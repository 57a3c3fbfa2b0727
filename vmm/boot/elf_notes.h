// SPDX-License-Identifier: Apache-2.0
/*
 * What a kernel's ELF notes say to whoever loads it: the notes with the name "Xen". They tell how
 * it is entered by PVH, and how a guest of Xen PV wants to begin.
 *
 * Always true: a value is present only where its note has one of the sizes that numbers have, four
 * bytes or eight. Of two notes of a type the last counts.
 *
 * Source: Xen, public/elfnote.h and public/features.h.
 */
#ifndef QUIRE_VMM_BOOT_ELF_NOTES_H
#define QUIRE_VMM_BOOT_ELF_NOTES_H

#include "mm/base/base.h"

struct elf_value {
	bool present;
	u64 value; /* 0 if not present */
};

/* A required feature that has no name here. */
#define ELF_FEATURE_UNKNOWN ((u64)1 << 63)

struct elf_notes {
	bool linux;
	struct elf_value pvh_entry; /* physical */
	struct elf_value entry;	    /* of Xen PV, virtual */
	struct elf_value hypercall_page;
	struct elf_value virt_base;
	struct elf_value paddr_offset;
	struct elf_value hv_start_low;
	struct elf_value init_p2m;
	struct elf_value mod_start_pfn;
	/* Bit n is XENFEAT number n. */
	u64 features_supported; /* by the kernel: those required, too */
	u64 features_required;
	/* A note of Xen PV that must be a number, and has the size of none; its type, or 0. */
	u32 odd;
};

/*
 * Take what the @len bytes of notes at @at say into @found, which begins as zeros. Descriptions are
 * padded to @pad, 4 or 8. A note that does not fit ends the list: what came before it counts.
 */
void elf_notes_scan(struct elf_notes *found, const u8 *at, u64 len, u64 pad);

#endif
