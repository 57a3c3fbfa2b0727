// SPDX-License-Identifier: Apache-2.0
/* The PVH start_info; see pvh.h. */
#include "vmm/boot/pvh.h"

#include "vmm/devices/memmap.h"

/* The page as it is written. */
struct info_page {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap_entry map[MEMMAP_MAX_ENTRIES];
};

_Static_assert(sizeof(struct info_page) <= MEMMAP_BOOT_CMDLINE - MEMMAP_BOOT_INFO,
	       "the page is shared with nothing else");

gpa_t pvh_write_info(struct space *space, const struct boot_parts *parts)
{
	struct memmap_entry map[MEMMAP_MAX_ENTRIES];
	unsigned int nr = memmap_build(space, map);
	u64 at = MEMMAP_BOOT_INFO;
	struct info_page page = {
		.info =
			{
				.magic = PVH_MAGIC,
				.version = PVH_VERSION,
				.cmdline_paddr = parts->cmdline.v,
				.rsdp_paddr = parts->rsdp.v,
				.memmap_paddr = at + offsetof(struct info_page, map),
				.memmap_entries = nr,
			},
	};
	int ret;

	if (parts->initrd_size) {
		page.info.nr_modules = 1;
		page.info.modlist_paddr = at + offsetof(struct info_page, initrd);
		page.initrd.paddr = parts->initrd.v;
		page.initrd.size = parts->initrd_size;
	}
	for (unsigned int i = 0; i < nr; i++)
		page.map[i] = (struct pvh_memmap_entry){
			.addr = map[i].start, .size = map[i].size, .type = map[i].type};
	ret = space_write(space, gpa(at), &page, sizeof(page));
	ASSERT(!ret);
	return gpa(at);
}
