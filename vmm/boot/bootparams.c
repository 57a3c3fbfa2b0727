// SPDX-License-Identifier: Apache-2.0
/* The long-mode way into Linux; see bootparams.h. */
#include "vmm/boot/bootparams.h"

#include "mm/x86/ptwalk.h"
#include "vmm/devices/memmap.h"

#define LOADER_UNDEFINED 0xff /* type_of_loader: one without a number of its own */

/*
 * Base 0, limit 4 GiB, present, accessed not needed: the CPU is started with the segments loaded.
 */
#define GDT_CODE64 0x00af9a000000ffffull
#define GDT_DATA   0x00cf92000000ffffull

#define TABLE_SIZE 512
#define NR_DIRS	   4 /* of 1 GiB each */

struct tables {
	u64 pml4[TABLE_SIZE];
	u64 pdpt[TABLE_SIZE];
	u64 dirs[NR_DIRS * TABLE_SIZE];
};

_Static_assert(sizeof(struct boot_params) <= MEMMAP_BOOT_CMDLINE - MEMMAP_BOOT_INFO, "one page");
_Static_assert(MEMMAP_BOOT_TABLES + sizeof(struct tables) <= MEMMAP_BOOT_END, "stays in its place");
_Static_assert(MEMMAP_MAX_ENTRIES <= E820_MAX_ENTRIES_ZEROPAGE, "all fit in boot_params");

static gpa_t write_params(struct space *space, const struct kernel_image *image,
			  const struct boot_parts *parts)
{
	struct boot_params bp = {.hdr = image->header, .acpi_rsdp_addr = parts->rsdp.v};
	struct memmap_entry map[MEMMAP_MAX_ENTRIES];
	unsigned int nr = memmap_build(space, map);
	int ret;

	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.cmd_line_ptr = (u32)parts->cmdline.v;
	bp.hdr.ramdisk_image = (u32)parts->initrd.v;
	bp.hdr.ramdisk_size = (u32)parts->initrd_size;
	bp.hdr.setup_data = 0;
	bp.e820_entries = (u8)nr;
	for (unsigned int i = 0; i < nr; i++)
		bp.e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].start, .size = map[i].size, .type = map[i].type};
	ret = space_write(space, gpa(MEMMAP_BOOT_INFO), &bp, sizeof(bp));
	ASSERT(!ret);
	return gpa(MEMMAP_BOOT_INFO);
}

static gpa_t write_gdt(struct space *space)
{
	static const u64 gdt[] = {0, 0, GDT_CODE64, GDT_DATA};
	int ret = space_write(space, gpa(MEMMAP_BOOT_GDT), gdt, sizeof(gdt));

	ASSERT(!ret);
	return gpa(MEMMAP_BOOT_GDT);
}

static gpa_t write_tables(struct space *space)
{
	u64 at = MEMMAP_BOOT_TABLES;
	struct tables *t = space_ptr_mut(space, gpa(at), sizeof(*t));

	ASSERT(t);
	t->pml4[0] = (at + offsetof(struct tables, pdpt)) | PTWALK_PRESENT | PTWALK_WRITABLE;
	for (u64 i = 0; i < NR_DIRS; i++)
		t->pdpt[i] = (at + offsetof(struct tables, dirs) + i * PAGE_SIZE) | PTWALK_PRESENT |
			     PTWALK_WRITABLE;
	for (u64 i = 0; i < ARRAY_SIZE(t->dirs); i++)
		t->dirs[i] = i * 2 * MiB | PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_LARGE;
	return gpa(at);
}

void bootparams_write(struct space *space, const struct kernel_image *image,
		      const struct boot_parts *parts, struct boot_entry *entry)
{
	entry->info = write_params(space, image, parts);
	entry->gdt = write_gdt(space);
	entry->cr3 = write_tables(space);
}
