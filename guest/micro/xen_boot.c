// SPDX-License-Identifier: Apache-2.0
/* The start_info of a Xen PV guest, whose addresses are virtual: see boot.h. */
#include <stddef.h>

#include "guest/micro/boot.h"
#include "guest/micro/xen.h"

/*
 * Frames of pages that follow each other are neighbours but where memory has a hole. Page tables
 * and the boot stack end what the loader has used (xen.h: "Start-of-day memory layout").
 */
const char *boot_read_xen(struct boot *boot, uint64_t address)
{
	const struct start_info *info = (const struct start_info *)address;
	const uint64_t *frames = (const uint64_t *)info->mfn_list;
	struct region *region = NULL;

	if (boot_copy_command(boot, (const char *)info->cmd_line))
		return "command line too long";
	boot->free = info->pt_base + (info->nr_pt_frames + 1) * GUEST_PAGE_SIZE;
	for (uint64_t i = boot->free / GUEST_PAGE_SIZE; i < info->nr_pages; i++) {
		uint64_t start = frames[i] * GUEST_PAGE_SIZE;

		if (!region || region->end != start) {
			if (boot->nr_regions == BOOT_MAX_REGIONS)
				break;
			region = &boot->regions[boot->nr_regions++];
			region->start = start;
		}
		region->end = start + GUEST_PAGE_SIZE;
	}
	return NULL;
}
