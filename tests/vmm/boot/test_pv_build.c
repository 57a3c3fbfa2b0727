// SPDX-License-Identifier: Apache-2.0
/*
 * What a Xen PV guest finds in memory: each page that its first tables map, and that there are no
 * others; the page list, start_info, shared_info and the hypercall page; in guests of all sizes,
 * for kernels that are linked to all kinds of addresses. And the command line that Linux gets.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vmm/boot/pv_guest.h"
#include "vmm/boot/pv_build.h"
#include "vmm/boot/pv_cmdline.h"

#define LEAF  (PTWALK_PRESENT | PTWALK_ACCESSED | PTWALK_DIRTY)
#define TOP_2 ((u64)2 << 39) /* an address of the top table's third entry */

enum { NOTE_ENTRY = 1, NOTE_HYPERCALL = 2, NOTE_BASE = 3, NOTE_P2M = 15, NOTE_PFN = 16 };

/* A kernel and a guest for it. */
struct variant {
	u64 size;
	u64 base;
	u64 p2m; /* 0: none asked for */
	bool by_pfn;
	u64 initrd; /* bytes; 0: none */
	u64 more;   /* memory that the kernel takes behind its last segment */
};

/* One that has been built. */
struct built {
	struct variant v;
	struct elf_recipe recipe;
	struct image image;
	struct image initrd;
	struct space *space;
	struct outcome out;
	struct pv_guest guest;
	u64 map_nr; /* pages from the base on */
	u64 p2m_nr; /* pages of the list */
};

static void build(struct built *b, const struct variant *v)
{
	struct extras extras = {.append = "console=hvc0 quiet", .paging = BOOT_PAGING_SHADOW};

	*b = (struct built){.v = *v, .recipe = elf_recipe_pv()};
	elf_recipe_note(&b->recipe, NOTE_BASE, v->base, 8);
	elf_recipe_note(&b->recipe, NOTE_ENTRY, v->base + 2 * MiB + 5, 8);
	elf_recipe_note(&b->recipe, NOTE_P2M, v->p2m, v->p2m ? 8 : 0);
	elf_recipe_note(&b->recipe, NOTE_PFN, 1, v->by_pfn ? 4 : 0);
	b->recipe.segments[1].memsz += v->more;
	b->image = elf_image(&b->recipe);
	b->space = space_of(v->size);
	if (v->initrd) {
		b->initrd = (struct image){.data = malloc(v->initrd), .len = v->initrd};
		assert_non_null(b->initrd.data);
		image_fill(b->initrd.data, v->initrd, 3);
		extras.initrd = &b->initrd;
	}
	b->out = load_image(b->space, &b->image, &extras);
	if (b->out.code)
		fail_msg("%s", b->out.err.text);
	assert_int_equal(b->out.entry.mode, BOOT_XEN_PV);
	assert_true(b->out.entry.linux);
	assert_true(pv_guest_init(&b->guest, b->space, &b->out));
	b->p2m_nr = ((v->size / PAGE_SIZE - 1) * 8 + PAGE_SIZE - 1) / PAGE_SIZE;
}

static void drop(struct built *b)
{
	space_destroy(b->space);
	image_free(&b->image);
	free(b->initrd.data);
}

/* From the base on, all pages in their order; tables read-only, the rest not. */
static void expect_mapping(struct built *b)
{
	const struct pv_guest *g = &b->guest;
	u64 tables = (pv_info(g, SI_PT_BASE) - b->v.base) / PAGE_SIZE, end;
	u64 stack_end = b->out.entry.pv.rsp - b->v.base;
	struct ptwalk_result r;

	assert_int_equal(tables, b->out.entry.pv.root.v);
	for (b->map_nr = 0;; b->map_nr++) {
		u64 entry = b->map_nr * PAGE_SIZE | LEAF | PTWALK_WRITABLE;

		if (b->map_nr && b->v.base + b->map_nr * PAGE_SIZE == 0)
			break;
		if (!pv_walk(g, b->v.base + b->map_nr * PAGE_SIZE, &r))
			break;
		if (b->map_nr - tables < pv_info(g, SI_NR_PT_FRAMES))
			entry &= ~PTWALK_WRITABLE;
		if (r.steps[3].entry != entry)
			fail_msg("page %llx: entry %llx", (unsigned long long)b->map_nr,
				 (unsigned long long)r.steps[3].entry);
	}
	end = b->map_nr * PAGE_SIZE;
	assert_int_equal((b->v.base + end) % (4 * MiB), 0);
	/* 4 MiB less would not do: it would take two tables less, too */
	assert_in_range(end - stack_end, 512 * KiB, 512 * KiB + 4 * MiB - 2 * PAGE_SIZE - 1);
	assert_true(end < b->v.size);
}

/* The list's pages: behind the mapping at the address asked for, or in the mapping. */
static void expect_p2m_mapping(const struct built *b)
{
	const struct pv_guest *g = &b->guest;
	u64 list = pv_info(g, SI_MFN_LIST), first = pv_info(g, SI_FIRST_P2M_PFN);
	struct ptwalk_result r;

	if (!b->v.p2m) {
		assert_int_equal(first, 0);
		assert_int_equal(pv_info(g, SI_NR_P2M_FRAMES), 0);
		assert_in_range(list - b->v.base, 2 * MiB, b->map_nr * PAGE_SIZE);
		return;
	}
	assert_int_equal(list, b->v.p2m);
	assert_true(first >= b->map_nr);
	for (u64 i = 0; i < b->p2m_nr; i++) {
		assert_true(pv_walk(g, list + i * PAGE_SIZE, &r));
		assert_int_equal(r.steps[3].entry,
				 (first + i) * PAGE_SIZE | LEAF | PTWALK_WRITABLE);
	}
	assert_false(pv_walk(g, list + b->p2m_nr * PAGE_SIZE, &r));
	assert_false(pv_walk(g, list - 1, &r));
}

/* No table and no page that is not accounted for. */
static void expect_no_more(const struct built *b)
{
	const struct pv_guest *g = &b->guest;
	u64 list_nr = b->v.p2m ? b->p2m_nr : 0;
	u64 own = pv_info(g, SI_NR_P2M_FRAMES) - list_nr;
	struct pv_census c = pv_census(g, b->out.entry.pv.root.v, pv_info(g, SI_NR_PT_FRAMES),
				       pv_info(g, SI_FIRST_P2M_PFN) + list_nr, own);

	assert_false(c.strays);
	assert_int_equal(c.pages, b->map_nr + list_nr);
	assert_int_equal(c.tables, pv_info(g, SI_NR_PT_FRAMES) + own);
}

/* The list by its address, and the same by function. */
static void expect_p2m(const struct built *b)
{
	const struct pv_guest *g = &b->guest;
	u64 list = pv_at(g, pv_info(g, SI_MFN_LIST)), nr = b->v.size / PAGE_SIZE - 1;
	u64 low = MIN(b->v.size, 3 * GiB) / PAGE_SIZE;

	assert_int_equal(pv_info(g, SI_NR_PAGES), nr);
	assert_int_equal(b->out.entry.pv.nr_pages, nr);
	for (u64 pfn = 0; pfn < nr; pfn++) {
		u64 frame = pfn < low ? pfn : pfn + GiB / PAGE_SIZE;

		if (guest_u64(b->space, list + pfn * 8) != frame ||
		    pv_frame_of_pfn(b->space, pfn).v != frame ||
		    pv_pfn_of_frame(b->space, (gfn_t){frame}) != pfn)
			fail_msg("pfn %llx", (unsigned long long)pfn);
	}
	assert_true(guest_is_zero(b->space, list + nr * 8, b->p2m_nr * PAGE_SIZE - nr * 8));
}

static void expect_start_info(const struct built *b)
{
	const struct pv_boot *boot = &b->out.entry.pv;
	const struct pv_guest *g = &b->guest;
	u64 store = pv_info(g, SI_STORE_MFN), console = pv_info(g, SI_CONSOLE_MFN);
	static const char magic[32] = "xen-3.0-x86_64";

	assert_true(guest_is(b->space, g->info + SI_MAGIC, magic, sizeof(magic)));
	assert_int_equal(pv_info(g, SI_SHARED_INFO), boot->shared_info.v * PAGE_SIZE);
	assert_int_equal(pv_info32(g, SI_FLAGS), b->v.initrd && b->v.by_pfn ? 8 : 0);
	assert_int_equal(store, boot->store.v);
	assert_int_equal(pv_info32(g, SI_STORE_EVTCHN), 0);
	assert_int_equal(console, boot->console.v);
	assert_int_equal(pv_info32(g, SI_CONSOLE_EVTCHN), PV_CONSOLE_PORT);
	assert_true(guest_is(b->space, g->info + SI_CMD_LINE, "console=hvc0 quiet", 19));
	assert_true(guest_is_zero(b->space, g->info + SI_CMD_LINE + 19, 1024 - 19));
	assert_true(guest_is_zero(b->space, g->info + SI_END, PAGE_SIZE - SI_END));
	/* in Xen's order, each with a page of its own */
	assert_int_equal(store, g->info / PAGE_SIZE + 1);
	assert_int_equal(console, store + 1);
	assert_int_equal(boot->root.v, console + 1);
	assert_int_equal(pv_at(g, boot->rsp - 1) / PAGE_SIZE,
			 boot->root.v + pv_info(g, SI_NR_PT_FRAMES));
	assert_true(guest_is_zero(b->space, store * PAGE_SIZE, 2 * PAGE_SIZE));
	assert_true(guest_is_zero(b->space, pv_at(g, boot->rsp - PAGE_SIZE), PAGE_SIZE));
}

static void expect_initrd(const struct built *b)
{
	const struct pv_guest *g = &b->guest;
	u64 start = pv_info(g, SI_MOD_START), limit = MIN(b->v.size - PAGE_SIZE, 3 * GiB), at;

	assert_int_equal(pv_info(g, SI_MOD_LEN), b->v.initrd);
	if (!b->v.initrd) {
		assert_int_equal(start, 0);
		return;
	}
	at = b->v.by_pfn ? start * PAGE_SIZE : pv_at(g, start);
	assert_int_equal(at % PAGE_SIZE, 0);
	assert_true(guest_is(b->space, at, b->initrd.data, b->v.initrd));
	if (b->v.by_pfn) /* as high as it may be */
		assert_int_equal(at + align_up(b->v.initrd, PAGE_SIZE), limit);
	else
		assert_int_equal(at, 2 * MiB + 0x4000 + b->v.more);
}

/* 32 vcpu_infos of 64 bytes, whose second is the mask; then all zeros. */
static void expect_shared_info(const struct built *b)
{
	u64 at = b->out.entry.pv.shared_info.v * PAGE_SIZE;
	u8 page[PAGE_SIZE] = {0};

	for (int i = 0; i < 32; i++)
		page[i * 64 + 1] = 1;
	assert_true(guest_is(b->space, at, page, PAGE_SIZE));
	assert_int_equal(at, (b->v.size > 3 * GiB ? b->v.size + GiB : b->v.size) - PAGE_SIZE);
	assert_int_equal(pv_pfn_of_frame(b->space, b->out.entry.pv.shared_info), PV_NONE);
}

static void expect_whole(const struct variant *v)
{
	struct built b;

	build(&b, v);
	expect_mapping(&b);
	expect_p2m_mapping(&b);
	expect_no_more(&b);
	expect_p2m(&b);
	expect_start_info(&b);
	expect_initrd(&b);
	expect_shared_info(&b);
	assert_int_equal(b.out.entry.pv.rip, v->base + 2 * MiB + 5);
	assert_int_equal(pv_at(&b.guest, b.out.entry.pv.rip), 2 * MiB + 5);
	assert_true(guest_has_elf(b.space, b.image.data, b.image.len));
	assert_true(guest_is_zero(b.space, 0, 2 * MiB));
	drop(&b);
}

static void each_size_of_memory(void **state)
{
	static const u64 sizes[] = {16 * MiB, 3 * GiB - 2 * MiB, 3 * GiB, 3 * GiB + 2 * MiB,
				    5 * GiB + 6 * MiB};

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(sizes); i++)
		expect_whole(&(struct variant){
			.size = sizes[i / 4],
			.base = ELF_RECIPE_PV_BASE,
			.p2m = i & 1 ? ELF_RECIPE_PV_P2M : 0,
			.by_pfn = i & 2,
			.initrd = 3 * PAGE_SIZE + 1,
		});
}

/* Tables of each level that end within, with, and just behind what they map. */
static void each_kind_of_address(void **state)
{
	static const u64 bases[] = {
		0,
		4 * MiB - PAGE_SIZE,
		GiB - 4 * MiB,
		((u64)1 << 39) - 4 * MiB,
		((u64)1 << 39) - 5 * PAGE_SIZE,
		0xffff880000000000,
		0xffffffff80000000,
		0xfffffffffe000000,
		0xffffffffffc00000,
	};
	static const u64 lists[] = {
		0,
		TOP_2,
		TOP_2 - 2 * PAGE_SIZE + TOP_2 / 2,
		TOP_2 + GiB - PAGE_SIZE,
		0xffff890000000000 - 17 * PAGE_SIZE,
	};

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(bases) * ARRAY_SIZE(lists); i++) {
		struct variant v = {
			.size = 20 * MiB,
			.base = bases[i / 4 / ARRAY_SIZE(lists)],
			.p2m = lists[i / 4 % ARRAY_SIZE(lists)],
			.by_pfn = i & 1,
			.initrd = i & 2 ? MiB + 700 : 0,
		};

		if (v.base >> 39 != v.p2m >> 39 || !v.p2m)
			expect_whole(&v);
	}
}

/* From one boundary of 4 MiB to the next, and page by page where the padding needs another. */
static void each_length_of_kernel(void **state)
{
	struct variant v = {.size = 20 * MiB, .base = ELF_RECIPE_PV_BASE, .p2m = ELF_RECIPE_PV_P2M};

	(void)state;
	for (; v.more < 5 * MiB; v.more += 61 * PAGE_SIZE)
		expect_whole(&v);
	for (v.more = 2 * MiB - 640 * KiB; v.more < 2 * MiB - 400 * KiB; v.more += PAGE_SIZE)
		expect_whole(&v);
}

/* Any number that a guest may name. */
static void names_of_pages(void **state)
{
	static const u64 none[] = {3 * GiB / PAGE_SIZE,
				   4 * GiB / PAGE_SIZE - 1,
				   5 * GiB / PAGE_SIZE - 1,
				   5 * GiB / PAGE_SIZE,
				   (u64)1 << 51,
				   (u64)1 << 52,
				   (u64)1 << 52 | 7,
				   UINT64_MAX >> 1,
				   UINT64_MAX - 1,
				   UINT64_MAX};
	struct space *space = space_of(4 * GiB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(pv_pfn_of_frame(space, (gfn_t){none[i]}), PV_NONE);
	assert_int_equal(pv_nr_pages(space), 0xfffff);
	assert_int_equal(pv_frame_of_pfn(space, 0xbffff).v, 0xbffff);
	assert_int_equal(pv_frame_of_pfn(space, 0xc0000).v, 0x100000);
	assert_int_equal(pv_frame_of_pfn(space, 0xffffe).v, 0x13fffe);
	assert_int_equal(pv_frame_of_pfn(space, 0xfffff).v, PV_NONE);
	assert_int_equal(pv_frame_of_pfn(space, UINT64_MAX).v, PV_NONE);
	assert_int_equal(pv_shared_info_frame(space).v, 0x13ffff);
	space_destroy(space);
}

/* The bytes of each call; and of IRET's, which does not come back. */
static void hypercall_page(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct extras extras = {.paging = BOOT_PAGING_SHADOW};
	struct space *space = space_of(16 * MiB);
	struct image image;
	struct outcome out;

	(void)state;
	elf_recipe_note(&recipe, NOTE_HYPERCALL, ELF_RECIPE_PV_BASE + 2 * MiB + 0x2000, 8);
	image = elf_image(&recipe);
	out = load_image(space, &image, &extras);
	assert_int_equal(out.code, 0);
	for (u32 n = 0; n < 128; n++) {
		u8 call[32] = {0x51, 0x41, 0x53, 0xb8, (u8)n, 0,    0,
			       0,    0x0f, 5,	 0x41, 0x5b,  0x59, 0xc3};
		u8 iret[32] = {0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 5};

		memset(call + 14, 0xcc, sizeof(call) - 14);
		memset(iret + 11, 0xcc, sizeof(iret) - 11);
		assert_true(guest_is(space, 2 * MiB + 0x2000 + n * 32, n == 23 ? iret : call, 32));
	}
	assert_true(guest_is_zero(space, 2 * MiB + 0x1000 + 300, 0x1000 - 300));
	assert_true(guest_is_zero(space, 2 * MiB + 0x3000, 0x1000));
	image_free(&image);
	space_destroy(space);
}

static struct outcome load_sized(u64 size, const struct image *image, const struct image *initrd)
{
	struct extras extras = {.initrd = initrd->len ? initrd : NULL,
				.paging = BOOT_PAGING_SHADOW};
	struct space *space = space_of(size);
	struct outcome out = load_image(space, image, &extras);

	space_destroy(space);
	return out;
}

/* What holds the kernel alone is refused with a size that would do, and less would not. */
static void hinted_size_is_the_least(void **state)
{
	static const u64 memsz[] = {0x3000, 11 * MiB, 14 * MiB, 29 * MiB, 500 * MiB};
	u8 *bytes = calloc(1, 40 * MiB);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < 8 * ARRAY_SIZE(memsz); i++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct image initrd = {bytes, i & 1 ? 40 * MiB : 3 * MiB}, image;
		u64 start = align_up(2 * MiB + 0x1000 + memsz[i / 8], 2 * MiB);
		unsigned long long least;
		struct outcome out;
		const char *give;

		recipe.segments[1].memsz = memsz[i / 8];
		elf_recipe_note(&recipe, NOTE_PFN, 1, i & 2 ? 4 : 0);
		elf_recipe_note(&recipe, NOTE_P2M, ELF_RECIPE_PV_P2M, i & 4 ? 8 : 0);
		image = elf_image(&recipe);
		out = load_sized(MAX(start, 16 * MiB), &image, &initrd);
		if (out.code) {
			assert_true(is_refusal(&out, -E2BIG, "list needs more than the guest's"));
			give = strstr(out.err.text, "--memory ");
			assert_non_null(give);
			assert_int_equal(sscanf(give, "--memory %lluM or more", &least), 1);
			out = load_sized((least - 2) * MiB, &image, &initrd);
			assert_int_equal(out.code, -E2BIG);
			out = load_sized(least * MiB, &image, &initrd);
			assert_int_equal(out.code, 0);
		}
		image_free(&image);
	}
	free(bytes);
}

/* What has to be below 3 GiB, and how large it may become there; nothing of it is read. */
static void too_much_for_any_memory(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct space *space = space_of(8 * GiB);
	struct image image = elf_image(&recipe);
	struct image_file kernel, initrd;
	struct outcome out = {0};
	struct boot_source src = {.paging = BOOT_PAGING_SHADOW};
	static const u64 sizes[] = {3 * GiB - 16 * MiB, 3 * GiB, 2048 * GiB,
				    INT64_MAX - PAGE_SIZE + 1, INT64_MAX};

	(void)state;
	image_file_open(&kernel, image.data, image.len);
	image_file_open(&initrd, "", 0);
	src.kernel = kernel.path;
	src.initrd = initrd.path;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(ftruncate(initrd.fd, (off_t)sizes[i]), 0);
		out.code = boot_load(space, &src, &out.entry, &out.err);
		assert_true(is_refusal(&out, -E2BIG, "below 3 GiB (give a smaller initrd or less"));
		space_punch(space, gpa(0), 3 * GiB);
	}
	image_file_close(&initrd);
	image_file_close(&kernel);
	image_free(&image);
	space_destroy(space);
}

/* The initrd, or the list, is in the mapping: then the addresses must suffice. */
static void addresses_that_end(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	u8 *bytes = calloc(1, 4 * MiB);
	struct image initrd = {bytes, 4 * MiB}, image;
	struct outcome out;

	(void)state;
	assert_non_null(bytes);
	elf_recipe_note(&recipe, NOTE_BASE, 0xffffffffffc00000, 8);
	elf_recipe_note(&recipe, NOTE_ENTRY, 0xffffffffffe00000, 8);
	image = elf_image(&recipe);
	out = load_sized(64 * MiB, &image, &initrd);
	assert_int_equal(out.code, 0);
	image_free(&image);
	elf_recipe_note(&recipe, NOTE_PFN, 0, 4);
	image = elf_image(&recipe);
	out = load_sized(64 * MiB, &image, &initrd);
	assert_true(is_refusal(&out, -E2BIG,
			       "8 MiB of addresses, and from 0xffffffffffc00000 on "
			       "it has 4 "));
	initrd.len = 0;
	image_free(&image);
	elf_recipe_note(&recipe, NOTE_P2M, 0, 0);
	image = elf_image(&recipe);
	out = load_sized(4 * GiB, &image, &initrd);
	assert_true(is_refusal(&out, -E2BIG, "12 MiB of addresses"));
	image_free(&image);
	free(bytes);
}

static void expect_cmdline(const char *append, unsigned int nr_cpus, const char *expected)
{
	char line[MAX_GUEST_CMDLINE];

	memset(line, 'x', sizeof(line));
	pv_cmdline(line, append, nr_cpus);
	assert_string_equal(line, expected);
}

/* How many processors there are is said in front, unless the user has said it. */
static void says_processors(void **state)
{
	(void)state;
	expect_cmdline("", 0, "");
	expect_cmdline("", 2, "nr_cpus=2 noreplace-smp ");
	expect_cmdline(" a  b ", 16, "nr_cpus=16 noreplace-smp  a  b ");
	expect_cmdline("a -- b", 2, "nr_cpus=2 noreplace-smp a -- b");
	expect_cmdline("nr_cpus=3", 2, "noreplace-smp nr_cpus=3");
	expect_cmdline("quiet nr-cpus=3 a", 2, "noreplace-smp quiet nr-cpus=3 a");
	expect_cmdline("quiet\tmaxcpus=1", 2, "noreplace-smp quiet\tmaxcpus=1");
	/* that is not what they say */
	expect_cmdline("nr_cpus", 2, "nr_cpus=2 noreplace-smp nr_cpus");
	expect_cmdline("xnr_cpus=3", 2, "nr_cpus=2 noreplace-smp xnr_cpus=3");
	expect_cmdline("a=\" nr_cpus=3\"", 2, "nr_cpus=2 noreplace-smp a=\" nr_cpus=3\"");
	expect_cmdline("-- maxcpus=3", 2, "nr_cpus=2 noreplace-smp -- maxcpus=3");
}

/* Linux is told not to patch itself for one processor, nor back for more. */
static void says_no_patching(void **state)
{
	(void)state;
	expect_cmdline("", 1, "nr_cpus=1 noreplace-smp ");
	expect_cmdline("quiet", 1, "nr_cpus=1 noreplace-smp quiet");
	expect_cmdline("nr_cpus=1", 1, "noreplace-smp nr_cpus=1");
	expect_cmdline("noreplace-smp a", 4, "nr_cpus=4 noreplace-smp a");
	expect_cmdline("a noreplace_smp", 1, "nr_cpus=1 a noreplace_smp");
	expect_cmdline("-- noreplace-smp", 1, "nr_cpus=1 noreplace-smp -- noreplace-smp");
}

static void turns_serial_consoles(void **state)
{
	(void)state;
	expect_cmdline("console=ttyS0", 0, "console=hvc0");
	expect_cmdline(" quiet console=ttyS0,115200n8  a", 0, " quiet console=hvc0  a");
	expect_cmdline("console=ttyS0 console=ttyS0", 2,
		       "nr_cpus=2 noreplace-smp console=hvc0 console=hvc0");
	expect_cmdline("console=hvc0 console=tty0", 0, "console=hvc0 console=tty0");
	expect_cmdline("console=ttyS01 console=ttyS1", 0, "console=ttyS01 console=ttyS1");
	expect_cmdline("xconsole=ttyS0", 0, "xconsole=ttyS0");
	expect_cmdline("earlyprintk=ttyS0 console=ttyS", 0, "earlyprintk=ttyS0 console=ttyS");
	expect_cmdline("a=\"b console=ttyS0\"", 0, "a=\"b console=ttyS0\"");
	expect_cmdline("a=\"b\" console=ttyS0 -- console=ttyS0", 0,
		       "a=\"b\" console=hvc0 -- console=ttyS0");
	expect_cmdline("a=\"never closed console=ttyS0", 0, "a=\"never closed console=ttyS0");
}

/* Whatever the length, nothing of the user's is lost; what is added may be. */
static void long_command_lines(void **state)
{
	static const char front[] = "nr_cpus=9 noreplace-smp ";
	const size_t more = strlen(front);
	char append[MAX_GUEST_CMDLINE], line[MAX_GUEST_CMDLINE];

	(void)state;
	for (size_t len = MAX_GUEST_CMDLINE - 30; len < MAX_GUEST_CMDLINE; len++) {
		bool fits = len + more < MAX_GUEST_CMDLINE;

		memset(append, 'a', len);
		append[len] = '\0';
		memcpy(append, "console=ttyS0 ", 14);
		pv_cmdline(line, append, 9);
		assert_int_equal(strlen(line), len - 1 + (fits ? more : 0));
		assert_int_equal(!strncmp(line, front, more), fits);
		assert_memory_equal(line + (fits ? more : 0), "console=hvc0 a", 14);
		assert_string_equal(line + (fits ? more : 0) + 13, append + 14);
	}
}

/* Of the kernels, only Linux is known to understand it. */
static void only_linux_is_told(void **state)
{
	struct extras extras = {
		.append = "console=ttyS0", .paging = BOOT_PAGING_SHADOW, .nr_cpus = 4};
	static const char *const expected[] = {"console=ttyS0",
					       "nr_cpus=4 noreplace-smp console=hvc0"};

	(void)state;
	for (int is_linux = 0; is_linux < 2; is_linux++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct space *space = space_of(16 * MiB);
		struct pv_guest guest;
		struct image image;
		struct outcome out;

		recipe.linux = is_linux;
		image = elf_image(&recipe);
		out = load_image(space, &image, &extras);
		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.linux, is_linux);
		assert_true(pv_guest_init(&guest, space, &out));
		assert_true(guest_is(space, guest.info + SI_CMD_LINE, expected[is_linux],
				     strlen(expected[is_linux]) + 1));
		image_free(&image);
		space_destroy(space);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_size_of_memory),
		cmocka_unit_test(each_kind_of_address),
		cmocka_unit_test(each_length_of_kernel),
		cmocka_unit_test(names_of_pages),
		cmocka_unit_test(hypercall_page),
		cmocka_unit_test(hinted_size_is_the_least),
		cmocka_unit_test(too_much_for_any_memory),
		cmocka_unit_test(addresses_that_end),
		cmocka_unit_test(says_processors),
		cmocka_unit_test(says_no_patching),
		cmocka_unit_test(turns_serial_consoles),
		cmocka_unit_test(long_command_lines),
		cmocka_unit_test(only_linux_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
