// SPDX-License-Identifier: Apache-2.0
/* Dividing and mapping the guest's memory: see memory.h. */
#include <stddef.h>

#include "guest/abi.h"
#include "guest/micro/memory.h"
#include "guest/micro/string.h"
#include "guest/micro/xen.h"

/* Memory is handed out in what a large page maps, so that map= changes nothing but the mapping. */
#define CHUNK	    ((uint64_t)2 << 20)
#define CHUNK_PAGES (CHUNK / GUEST_PAGE_SIZE)

/* One root slot is the arena's window: that many chunks can be mapped. */
#define MAX_CHUNKS ((uint64_t)TABLE_ENTRIES * TABLE_ENTRIES)

/* Tables of job=churn: a root slot, and for each CPU three more (churn.c). */
#define CHURN_TABLES (1 + 3 * GUEST_MAX_CPUS)

extern const char image_end[]; /* link.ld */

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Heap needed to work on @chunks chunks: generations, and tables of up to three levels. */
static uint64_t heap_bytes(uint64_t chunks, uint64_t map)
{
	uint64_t tables = 1 + round_up(chunks, TABLE_ENTRIES) / TABLE_ENTRIES + CHURN_TABLES;

	if (map == WORK_MAP_4K)
		tables += chunks;
	if (xen_info) /* the heap, one to one: 2 MiB of it serve over 300 chunks */
		tables += chunks / 256 + 4;
	return round_up(chunks * CHUNK_PAGES * sizeof(uint32_t), GUEST_PAGE_SIZE) +
	       tables * GUEST_PAGE_SIZE;
}

/*
 * The whole chunks of @boot's RAM from @start on, but for the first @skip bytes. Returns how many.
 */
static uint64_t take_chunks(struct memory *memory, const struct boot *boot, uint64_t start,
			    uint64_t skip)
{
	uint64_t chunks = 0;
	uint64_t left_out;

	memory->nr_regions = 0;
	for (unsigned int i = 0; i < boot->nr_regions; i++) {
		struct region region = boot->regions[i];

		if (region.start < start)
			region.start = start;
		region.start = round_up(region.start, CHUNK);
		region.end -= region.end % CHUNK;
		if (region.start >= region.end)
			continue;
		left_out = min(skip - skip % CHUNK, region.end - region.start);
		region.start += left_out;
		skip -= left_out;
		memory->regions[memory->nr_regions++] = region;
		chunks += (region.end - region.start) / CHUNK;
	}
	return min(chunks, MAX_CHUNKS);
}

/*
 * Decide where the heap ends and which pages the arena has. The heap is sized for the memory before
 * it is taken out of it, which errs on the large side by a few pages. It must follow the image in
 * one piece, below 4 GiB, because it is used by its physical addresses.
 */
static const char *divide(struct memory *memory, const struct boot *boot,
			  const struct work_options *options)
{
	uint64_t wanted = round_up(options->size / GUEST_PAGE_SIZE, CHUNK_PAGES) / CHUNK_PAGES;
	uint64_t chunks;

	memory->heap = boot->free ? boot->free : (uint64_t)image_end;
	chunks = take_chunks(memory, boot, memory->heap, options->skip);
	if (options->size)
		chunks = min(chunks, wanted);
	memory->heap_end = round_up(memory->heap + heap_bytes(chunks, options->map), CHUNK);
	if (!boot_is_ram(boot, memory->heap, memory->heap_end))
		return "too little memory for page tables";
	chunks = take_chunks(memory, boot, memory->heap_end, options->skip);
	memory->arena_pages = chunks * CHUNK_PAGES;
	if (options->size) {
		if (wanted > chunks)
			return "less memory than size=";
		memory->arena_pages = options->size / GUEST_PAGE_SIZE;
	}
	return NULL;
}

/* @nr of them, one behind the other. */
static uint64_t *take_tables(struct memory *memory, uint64_t nr, unsigned int level)
{
	uint64_t *tables = (uint64_t *)memory->heap;

	memory->heap += nr * GUEST_PAGE_SIZE;
	memset(tables, 0, nr * GUEST_PAGE_SIZE);
	if (xen_info)
		xen_make_tables(tables, nr, level);
	return tables;
}

uint64_t *memory_table(struct memory *memory, unsigned int level)
{
	return take_tables(memory, 1, level);
}

void memory_set_entry(uint64_t *entry, uint64_t value)
{
	if (!xen_info)
		*(volatile uint64_t *)entry = value;
	else
		xen_must("mmu_update", xen_set_entry(entry, value ? value | PTE_ACCESSED : 0));
}

void memory_link(uint64_t address, const uint64_t *table)
{
	uint64_t *root = xen_info ? xen_root() : pml4;

	memory_set_entry(&root[address >> 39], (uint64_t)table | PTE_TABLE);
}

uint64_t memory_physical(const struct memory *memory, uint64_t page)
{
	uint64_t offset = page * GUEST_PAGE_SIZE;

	for (unsigned int i = 0; i < memory->nr_regions; i++) {
		const struct region *region = &memory->regions[i];

		if (offset < region->end - region->start)
			return region->start + offset;
		offset -= region->end - region->start;
	}
	return UINT64_MAX;
}

/* The entry of a directory for a chunk at @physical: a large page, or a table of small ones. */
static uint64_t chunk_entry(struct memory *memory, uint64_t physical, uint64_t map)
{
	uint64_t *table;

	if (map == WORK_MAP_2M)
		return physical | PTE_PAGE | PTE_LARGE;
	table = memory_table(memory, 1);
	for (unsigned int i = 0; i < TABLE_ENTRIES; i++)
		table[i] = (physical + i * GUEST_PAGE_SIZE) | PTE_PAGE;
	return (uint64_t)table | PTE_TABLE;
}

/*
 * Build all tables first, with plain stores to memory that no CPU walks; link them with one write.
 */
static void map_arena(struct memory *memory, uint64_t map)
{
	uint64_t *directories = memory_table(memory, 3);
	uint64_t *directory = NULL;

	for (uint64_t page = 0; page < memory->arena_pages; page += CHUNK_PAGES) {
		uint64_t chunk = page / CHUNK_PAGES;

		if (chunk % TABLE_ENTRIES == 0) {
			directory = memory_table(memory, 2);
			directories[chunk / TABLE_ENTRIES] = (uint64_t)directory | PTE_TABLE;
		}
		directory[chunk % TABLE_ENTRIES] = chunk_entry(memory,
							       memory_physical(memory, page), map);
	}
	memory_link(ARENA_WINDOW, directories);
}

/* The same by hypercalls, each of which makes as many entries as there is room for. */
static void map_arena_xen(struct memory *memory)
{
	uint64_t chunks = round_up(memory->arena_pages, CHUNK_PAGES) / CHUNK_PAGES;
	uint64_t *directories = memory_table(memory, 3);
	uint64_t nr = round_up(chunks, TABLE_ENTRIES) / TABLE_ENTRIES;
	uint64_t *directory = take_tables(memory, nr, 2);
	uint64_t *tables = take_tables(memory, chunks, 1);
	struct xen_queue queue;

	xen_queue_init(&queue, 0);
	for (uint64_t page = 0; page < chunks * CHUNK_PAGES; page++)
		xen_queue_add(&queue, &tables[page],
			      memory_physical(memory, page) | PTE_PAGE | PTE_USED);
	for (uint64_t i = 0; i < chunks; i++)
		xen_queue_add(&queue, &directory[i],
			      (uint64_t)&tables[i * TABLE_ENTRIES] | PTE_TABLE | PTE_ACCESSED);
	for (uint64_t i = 0; i < nr; i++)
		xen_queue_add(&queue, &directories[i],
			      (uint64_t)&directory[i * TABLE_ENTRIES] | PTE_TABLE | PTE_ACCESSED);
	xen_queue_send(&queue);
	memory_link(ARENA_WINDOW, directories);
}

const char *memory_init(struct memory *memory, const struct boot *boot,
			const struct work_options *options)
{
	const char *why = divide(memory, boot, options);
	uint64_t bytes = memory->arena_pages * sizeof(uint32_t);

	if (why)
		return why;
	if (xen_info)
		why = xen_map_heap(&memory->heap, memory->heap_end);
	if (why)
		return why;
	memory->generations = (uint32_t *)memory->heap;
	memset(memory->generations, 0, bytes); /* after a reset, memory may hold anything */
	memory->heap = round_up(memory->heap + bytes, GUEST_PAGE_SIZE);
	if (xen_info)
		map_arena_xen(memory);
	else
		map_arena(memory, options->map);
	return NULL;
}
