// SPDX-License-Identifier: Apache-2.0
/* The PVH start_info: see boot.h. */
#include <stddef.h>

#include "guest/abi.h"
#include "guest/micro/boot.h"

#define START_MAGIC 0x336ec578
#define TYPE_RAM    1

/* Version 1 and later; version 0 ends before .memory_map. Addresses are physical. */
struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t command_line; /* 0: none */
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_entries;
	uint32_t reserved;
};

struct memory_map_entry {
	uint64_t start;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "as Xen's header has it");
_Static_assert(sizeof(struct memory_map_entry) == 24, "as Xen's header has it");

/* Physical memory below 4 GiB is mapped one to one from the start. */
static const void *physical(uint64_t address)
{
	return address < UINT32_MAX ? (const void *)address : NULL;
}

/* Longer than fits is refused, rather than cut off in the middle of a word. */
int boot_copy_command(struct boot *boot, const char *text)
{
	unsigned int i;

	for (i = 0; text && text[i]; i++) {
		if (i == BOOT_MAX_COMMAND - 1)
			return -1;
		boot->command[i] = text[i];
	}
	boot->command[i] = 0;
	return 0;
}

/* Regions beyond BOOT_MAX_REGIONS are not used: the memory they hold is merely not worked on. */
static void add_region(struct boot *boot, const struct memory_map_entry *entry)
{
	uint64_t mask = GUEST_PAGE_SIZE - 1;
	struct region region = {
		.start = (entry->start + mask) & ~mask,
		.end = (entry->start + entry->size) & ~mask,
	};

	if (entry->type != TYPE_RAM || region.start >= region.end)
		return;
	if (boot->nr_regions < BOOT_MAX_REGIONS)
		boot->regions[boot->nr_regions++] = region;
}

const char *boot_read(struct boot *boot, uint64_t info)
{
	const struct start_info *start = physical(info);
	const struct memory_map_entry *map;

	if (!start || start->magic != START_MAGIC)
		return "no PVH start_info";
	if (start->version < 1)
		return "start_info has no memory map (version 0)";
	if (boot_copy_command(boot, physical(start->command_line)))
		return "command line too long";
	map = physical(start->memory_map);
	if (!map)
		return "no memory map below 4 GiB";
	for (uint32_t i = 0; i < start->memory_map_entries; i++)
		add_region(boot, &map[i]);
	return NULL;
}

int boot_is_ram(const struct boot *boot, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < boot->nr_regions; i++)
		if (boot->regions[i].start <= start && end <= boot->regions[i].end)
			return 1;
	return 0;
}
