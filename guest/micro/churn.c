// SPDX-License-Identifier: Apache-2.0
/* Page-table churn: see churn.h. */
#include <stdbool.h>
#include <stddef.h>

#include "guest/micro/churn.h"
#include "guest/micro/kernel.h"
#include "guest/work/page.h"
#include "guest/work/random.h"

#define PAGES	 16 /* of a round, or more if batch= wants it */
#define UNMAPPED 4  /* of these, taken away one by one */
#define CHUNK	 ((uint64_t)2 << 20)
#define MS	 ((uint64_t)1000000)

/* One round, on one CPU. */
struct round {
	struct churn *churn;
	struct churn_worker *worker;
	uint64_t *entry; /* in the directory */
	volatile uint64_t *table;
	uint64_t address; /* that it maps */
	uint64_t pages;	  /* how many: one more is remapped to */
	uint64_t page;	  /* the first in the arena; they follow each other */
	uint64_t stamp;	  /* start of this round's stamps */
};

/* A word of page @i of the round, by the address the round maps, or by the arena. */
static volatile uint64_t *mapped_word(const struct round *round, uint64_t i, uint64_t word)
{
	return (uint64_t *)(round->address + i * GUEST_PAGE_SIZE) + word;
}

static volatile uint64_t *arena_word(const struct round *round, uint64_t i, uint64_t word)
{
	union page *arena = round->churn->platform->arena;

	return &arena[round->page + i].words[word];
}

static uint64_t page_entry(const struct round *round, uint64_t i)
{
	uint64_t used = xen_info ? PTE_USED : 0;

	return memory_physical(round->churn->memory, round->page + i) | PTE_PAGE | used;
}

static void change(const struct round *round, uint64_t i, uint64_t value)
{
	changes_entry(&round->worker->changes, &round->table[i],
		      round->address + i * GUEST_PAGE_SIZE, value);
}

/* The entry above the table. */
static void hang(const struct round *round, uint64_t value)
{
	round->worker->changes.made++;
	memory_set_entry(round->entry, value);
}

static bool expect(const struct round *round, uint64_t i, const char *what, uint64_t expected,
		   uint64_t found)
{
	struct line line;

	if (expected == found)
		return true;
	line_start(&line);
	line_add(&line, "churn wrong at %x: ", round->address + i * GUEST_PAGE_SIZE);
	line_text(&line, what);
	line_add(&line, ", expected %x, found %x", expected, found);
	work_print(round->churn->platform, &line);
	return false;
}

/* Reading at page @i must fault, and the fault must name that address. */
static bool expect_fault(const struct round *round, uint64_t i)
{
	uint64_t address = (uint64_t)mapped_word(round, i, 0);

	round->worker->faults++;
	return expect(round, i, "read of an unmapped page", address,
		      probe_read((const void *)address));
}

/*
 * The table was last in use two rounds ago and is out of reach now. It is filled before it is
 * linked; the link itself is the one write that a host with shadow tables must see.
 */
static void map(const struct round *round)
{
	for (uint64_t i = 0; i < TABLE_ENTRIES; i++)
		round->table[i] = i < round->pages ? page_entry(round, i) : 0;
	round->worker->changes.made += round->pages;
	hang(round, (uint64_t)round->table | PTE_TABLE);
}

/* Xen is to see changes in a table in use, which at first shows the pages of an earlier round. */
static void map_xen(const struct round *round)
{
	hang(round, (uint64_t)round->table | PTE_TABLE);
	for (uint64_t i = 0; i < round->pages; i++)
		change(round, i, page_entry(round, i));
	changes_settle(&round->worker->changes);
}

/*
 * Both directions, because they fail apart: a wrong translation shows in the first, a page that the
 * host has twice (one copy for each mapping) in the second.
 */
static bool touch(const struct round *round)
{
	for (uint64_t i = 0; i < round->pages; i++) {
		uint64_t stamp = random_mix(round->stamp + i);

		*mapped_word(round, i, 0) = stamp;
		if (!expect(round, i, "written here, read by the arena", stamp,
			    *arena_word(round, i, 0)))
			return false;
		*arena_word(round, i, 1) = ~stamp;
		if (!expect(round, i, "written by the arena, read here", ~stamp,
			    *mapped_word(round, i, 1)))
			return false;
	}
	round->worker->mapped += round->pages;
	return true;
}

/* From one present page to another: the old translation must not survive the invlpg. */
static bool remap(const struct round *round)
{
	*arena_word(round, round->pages, 0) = round->stamp;
	change(round, 0, page_entry(round, round->pages));
	changes_settle(&round->worker->changes);
	round->worker->mapped++;
	return expect(round, 0, "remapped page", round->stamp, *mapped_word(round, 0, 0));
}

/*
 * Entries one at a time, with invlpg, or in batches; then what is left at once, a level higher, by
 * reloading cr3.
 */
static bool unmap(const struct round *round)
{
	for (uint64_t i = 0; i < UNMAPPED; i++)
		change(round, i, 0);
	changes_settle(&round->worker->changes);
	for (uint64_t i = 0; i < UNMAPPED; i++)
		if (!expect_fault(round, i))
			return false;
	hang(round, 0);
	kernel_call(KERNEL_FLUSH, 0, 0);
	for (uint64_t i = UNMAPPED; i < round->pages; i += UNMAPPED)
		if (!expect_fault(round, i))
			return false;
	return true;
}

/* Returns false when something was wrong; a line has told what. */
static bool do_round(struct churn *churn, unsigned int index, uint64_t number)
{
	struct churn_worker *worker = &churn->workers[index];
	uint64_t slot = number % TABLE_ENTRIES;
	struct round round = {
		.churn = churn,
		.worker = worker,
		.entry = &worker->directory[slot],
		.table = worker->tables[number % 2],
		.address = CHURN_WINDOW + (index * TABLE_ENTRIES + slot) * CHUNK,
		.pages = churn->round_pages,
		.page = worker->first +
			random_below(&worker->random, worker->pages - churn->round_pages),
		.stamp = random_next(&worker->random),
	};

	if (xen_info)
		map_xen(&round);
	else
		map(&round);
	return touch(&round) && remap(&round) && unmap(&round);
}

/* Stops at the first wrong thing: tables that lie once make everything after them meaningless. */
static void run_worker(void *arg, unsigned int index)
{
	struct churn *churn = arg;
	const struct work_platform *platform = churn->platform;
	struct churn_worker *worker = &churn->workers[index];
	uint64_t share = churn->options->ops / churn->options->cpus;
	uint64_t limit = churn->options->time_ms * MS;

	for (uint64_t number = 0;; number++) {
		if (churn->options->ops && worker->mapped >= share)
			return;
		if (limit && platform->now_ns(platform->opaque) - churn->start >= limit)
			return;
		if (!do_round(churn, index, number)) {
			__atomic_add_fetch(&churn->wrong, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

/*
 * A directory and two tables for each CPU, so that no CPU ever needs another's translations
 * flushed.
 */
static void build_windows(struct churn *churn, struct memory *memory)
{
	uint64_t *directories = memory_table(memory, 3);
	uint64_t slice = memory->arena_pages / churn->options->cpus;

	for (unsigned int i = 0; i < churn->options->cpus; i++) {
		struct churn_worker *worker = &churn->workers[i];

		worker->directory = memory_table(memory, 2);
		worker->tables[0] = memory_table(memory, 1);
		worker->tables[1] = memory_table(memory, 1);
		changes_init(&worker->changes, churn->options, i);
		worker->first = i * slice;
		worker->pages = slice;
		worker->random = random_of(churn->options->seed, i);
		memory_set_entry(&directories[i], (uint64_t)worker->directory | PTE_TABLE);
	}
	memory_link(CHURN_WINDOW, directories);
}

static void report(const struct churn *churn)
{
	const struct work_platform *platform = churn->platform;
	uint64_t elapsed = platform->now_ns(platform->opaque) - churn->start;
	uint64_t mapped = 0;
	uint64_t faults = 0;
	uint64_t changed = 0;
	struct line line;

	for (unsigned int i = 0; i < churn->options->cpus; i++) {
		mapped += churn->workers[i].mapped;
		faults += churn->workers[i].faults;
		changed += churn->workers[i].changes.made;
	}
	line_start(&line);
	line_add(&line, "churn %u pages %m s %m us/page, %u faults, %u entries changed", mapped,
		 elapsed / MS, mapped ? elapsed / mapped : 0, faults, changed);
	work_print(platform, &line);
}

enum guest_exit churn_run(struct churn *churn, const struct work_platform *platform,
			  const struct work_options *options, struct memory *memory)
{
	churn->platform = platform;
	churn->options = options;
	churn->memory = memory;
	churn->round_pages = xen_info && options->batch > PAGES ? options->batch : PAGES;
	if (memory->arena_pages / options->cpus <= churn->round_pages)
		return work_verdict(platform, GUEST_EXIT_MEMORY, "too little memory to churn");
	build_windows(churn, memory);
	churn->start = platform->now_ns(platform->opaque);
	platform->run_workers(platform->opaque, (unsigned int)options->cpus, run_worker, churn);
	report(churn);
	if (churn->wrong)
		return work_verdict(platform, GUEST_EXIT_CHURN, "a mapping was wrong");
	return work_verdict(platform, GUEST_EXIT_PASS, NULL);
}
