// SPDX-License-Identifier: Apache-2.0
/*
 * What the loader passes on by PVH (Xen, docs/misc/pvh.pandoc and
 * include/public/arch-x86/hvm/start_info.h) or to a Xen PV guest (include/public/xen.h): the
 * command line and the map of physical memory. Both are copied at once, because they lie in memory
 * that will be put to other uses.
 */
#ifndef QUIRE_GUEST_MICRO_BOOT_H
#define QUIRE_GUEST_MICRO_BOOT_H

#include <stdint.h>

#define BOOT_MAX_REGIONS 16
#define BOOT_MAX_COMMAND 2048

/* RAM from .start to .end, page-aligned, below or above 4 GiB. */
struct region {
	uint64_t start;
	uint64_t end;
};

struct boot {
	unsigned int nr_regions;
	struct region regions[BOOT_MAX_REGIONS]; /* in the loader's order */
	uint64_t free; /* Xen PV: where what the loader has put into memory ends; else 0 */
	char command[BOOT_MAX_COMMAND];
};

/* Read the start_info at physical address @info. Returns NULL, or what is wrong with it. */
const char *boot_read(struct boot *boot, uint64_t info);

/* The same as a Xen PV guest, at its virtual address. */
const char *boot_read_xen(struct boot *boot, uint64_t info);

/* For these two. -1: it is too long. */
int boot_copy_command(struct boot *boot, const char *text);

/* Whether all of [start, end) is RAM, in one region. */
int boot_is_ram(const struct boot *boot, uint64_t start, uint64_t end);

#endif
