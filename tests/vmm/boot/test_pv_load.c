// SPDX-License-Identifier: Apache-2.0
/*
 * Which kernels become Xen PV guests, and what becomes of those whose notes ask for what cannot be,
 * are cut off, or are bent.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/vmm/boot/pv_guest.h"
#include "vmm/boot/elf_notes.h"

#define SIZE (16 * MiB)
#define BASE ELF_RECIPE_PV_BASE

#define TOP_1 ((u64)1 << 39) /* where the top table's second entry begins */

enum {
	NOTE_ENTRY = 1,
	NOTE_HYPERCALL = 2,
	NOTE_BASE = 3,
	NOTE_OFFSET = 4,
	NOTE_FEATURES = 10,
	NOTE_HV_START = 12,
	NOTE_P2M = 15,
	NOTE_PFN = 16,
	NOTE_SUPPORTED = 17,
};

static struct outcome load_as(struct space *space, const struct image *image,
			      enum boot_paging paging)
{
	return load_image(space, image, &(struct extras){.paging = paging});
}

/* Two kinds of entry, three kinds of paging. */
static void which_way_an_elf_goes(void **state)
{
	static const struct {
		bool pv, pvh, other; /* other: than Linux */
		enum boot_paging paging;
		int code;
		int mode;
		const char *words;
	} t[] = {
		{true, true, false, BOOT_PAGING_EPT, 0, BOOT_PVH, ""},
		{true, true, false, BOOT_PAGING_SHADOW, 0, BOOT_XEN_PV, ""},
		{true, true, false, BOOT_PAGING_AUTO_SHADOW, 0, BOOT_XEN_PV, ""},
		{true, false, false, BOOT_PAGING_EPT, -ENOEXEC, 0, "without a PVH entry"},
		{true, false, false, BOOT_PAGING_SHADOW, 0, BOOT_XEN_PV, ""},
		{true, false, false, BOOT_PAGING_AUTO_SHADOW, 0, BOOT_XEN_PV, ""},
		{false, true, false, BOOT_PAGING_EPT, 0, BOOT_PVH, ""},
		{false, true, false, BOOT_PAGING_SHADOW, -ENOEXEC, 0,
		 ": has no Xen PV entry (use --mmu ept, or a kernel with CONFIG_XEN_PV)"},
		{false, true, false, BOOT_PAGING_AUTO_SHADOW, 0, BOOT_PVH, ""},
		{false, false, false, BOOT_PAGING_SHADOW, -ENOEXEC, 0, "has no Xen PV entry"},
		{false, false, false, BOOT_PAGING_AUTO_SHADOW, -ENOEXEC, 0, "without a PVH entry"},
		{true, true, true, BOOT_PAGING_AUTO_SHADOW, 0, BOOT_PVH, ""},
		{true, false, true, BOOT_PAGING_AUTO_SHADOW, 0, BOOT_XEN_PV, ""},
		{true, true, true, BOOT_PAGING_SHADOW, 0, BOOT_XEN_PV, ""},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct elf_recipe recipe = t[i].pv ? elf_recipe_pv() : elf_recipe_plain();
		struct image image;
		struct outcome out;

		recipe.notes = t[i].pvh ? NOTES_PVH64 : NOTES_NONE;
		recipe.linux &= !t[i].other;
		image = elf_image(&recipe);
		out = load_as(space, &image, t[i].paging);
		if (t[i].code)
			assert_true(is_refusal(&out, t[i].code, t[i].words));
		else
			assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.mode, t[i].mode);
		image_free(&image);
	}
	space_destroy(space);
}

/* An unpacked kernel is like any other; one that only the image's code unpacks has no PV entry. */
static void which_way_a_bzimage_goes(void **state)
{
	struct elf_recipe pv = elf_recipe_pv(), plain = elf_recipe_plain();
	struct image kernels[2] = {elf_image(&plain), elf_image(&pv)};
	struct space *space = space_of(SIZE);

	(void)state;
	for (u32 i = 0; i < 2 * NR_PACKINGS; i++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(i / 2);
		struct image image = bzimage_image(&recipe, &kernels[i % 2]);
		bool is_pv = i % 2 && i / 2 != PACK_XZ;
		struct outcome out = load_as(space, &image, BOOT_PAGING_SHADOW);

		if (is_pv) {
			assert_int_equal(out.code, 0);
			assert_int_equal(out.entry.mode, BOOT_XEN_PV);
			assert_true(guest_has_elf(space, kernels[1].data, kernels[1].len));
		} else {
			assert_true(is_refusal(&out, -ENOEXEC, "no Xen PV entry (use --mmu ept"));
		}
		out = load_as(space, &image, BOOT_PAGING_AUTO_SHADOW);
		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.mode, is_pv		    ? BOOT_XEN_PV
						 : i / 2 == PACK_XZ ? BOOT_LONG64
								    : BOOT_PVH);
		assert_true(out.entry.linux);
		out = load_as(space, &image, BOOT_PAGING_EPT);
		assert_int_equal(out.entry.mode, i / 2 == PACK_XZ ? BOOT_LONG64 : BOOT_PVH);
		image_free(&image);
	}
	image_free(&kernels[0]);
	image_free(&kernels[1]);
	space_destroy(space);
}

/* Nothing of the other ways of booting is written, and nothing of this one into low memory. */
static void no_boot_data(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct image image = elf_image(&recipe);
	struct space *space = space_of(SIZE);
	struct extras extras = {.append = "x", .rsdp = 0xe0000, .paging = BOOT_PAGING_SHADOW};
	struct outcome out = load_image(space, &image, &extras);

	(void)state;
	assert_int_equal(out.code, 0);
	assert_true(guest_is_zero(space, 0, 2 * MiB));
	image_free(&image);
	space_destroy(space);
}

/* start_info has room for 1024, and a bzImage may say less. */
static void command_line(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct image elf = elf_image(&recipe), packed;
	struct bzimage_recipe b = bzimage_recipe_plain(PACK_LZ4);
	struct space *space = space_of(SIZE);
	char text[1025] = {0};
	struct extras extras = {.append = text, .paging = BOOT_PAGING_SHADOW};
	struct pv_guest g;
	struct outcome out;

	(void)state;
	b.cmdline_size = 4096;
	packed = bzimage_image(&b, &elf);
	for (int i = 0; i < 2; i++) {
		memset(text, 'x', 1023);
		out = load_image(space, i ? &packed : &elf, &extras);
		assert_int_equal(out.code, 0);
		assert_true(pv_guest_init(&g, space, &out));
		assert_true(guest_is(space, g.info + SI_CMD_LINE, text, 1024));
		text[1023] = 'x';
		out = load_image(space, i ? &packed : &elf, &extras);
		assert_true(is_refusal(&out, -E2BIG, "1024 characters and the kernel takes 1023"));
		text[1023] = 0;
	}
	image_free(&packed);
	b.cmdline_size = 1000;
	packed = bzimage_image(&b, &elf);
	out = load_image(space, &packed, &extras);
	assert_true(is_refusal(&out, -E2BIG, "1023 characters and the kernel takes 1000"));
	image_free(&packed);
	image_free(&elf);
	space_destroy(space);
}

/* One note of a sound kernel changed; @len 0 drops it. NULL: it is loaded all the same. */
static void notes_one_by_one(void **state)
{
	static const struct {
		u32 type, len;
		u64 value;
		const char *words;
	} t[] = {
		{NOTE_ENTRY, 0, 0, "has no Xen PV entry"},
		{NOTE_ENTRY, 3, 0, "has no Xen PV entry"},
		{NOTE_ENTRY, 8, BASE + 2 * MiB - 1, "PV entry where nothing is loaded"},
		{NOTE_ENTRY, 8, BASE + 2 * MiB + 700, "PV entry where nothing is loaded"},
		{NOTE_ENTRY, 8, 2 * MiB, "PV entry where nothing is loaded"},
		{NOTE_ENTRY, 4, (u32)(BASE + 2 * MiB), "PV entry where nothing is loaded"},
		{NOTE_ENTRY, 8, UINT64_MAX, "PV entry where nothing is loaded"},
		{NOTE_ENTRY, 8, BASE + 2 * MiB + 0x3fff, NULL},
		{NOTE_BASE, 7, 0, "note of type 3 is no number"},
		{NOTE_BASE, 0, 0, "PV entry where nothing is loaded"},
		{NOTE_BASE, 8, BASE + 1, "where no Xen PV kernel can be"},
		{NOTE_BASE, 8, BASE - MiB, "PV entry where nothing is loaded"},
		{NOTE_OFFSET, 2, 0, "note of type 4 is no number"},
		{NOTE_OFFSET, 8, BASE, "addresses are 0xffffffff80000000 higher"},
		{NOTE_OFFSET, 8, 1, "addresses are 0x1 higher"},
		{NOTE_OFFSET, 0, 0, NULL},
		{NOTE_OFFSET, 4, 0, NULL},
		{NOTE_PFN, 5, 0, "note of type 16 is no number"},
		{NOTE_PFN, 8, 1, NULL},
		{NOTE_PFN, 0, 0, NULL},
		{NOTE_SUPPORTED, 1, 0, "note of type 17 is no number"},
		{NOTE_SUPPORTED, 8, UINT64_MAX, NULL},
		{NOTE_HV_START, 6, 0, "note of type 12 is no number"},
		{NOTE_HV_START, 8, 0xffff800000000001, "from 0xffff800000000001 on"},
		{NOTE_HV_START, 4, 0, NULL},
		{NOTE_HV_START, 0, 0, NULL},
		{NOTE_HYPERCALL, 1, 0, "note of type 2 is no number"},
		{NOTE_HYPERCALL, 8, BASE + 2 * MiB, "hypercall page where none is loaded"},
		{NOTE_HYPERCALL, 8, BASE + 2 * MiB + 0x1800, "hypercall page where none is"},
		{NOTE_HYPERCALL, 8, BASE + 2 * MiB + 0x4000, "hypercall page where none is"},
		{NOTE_HYPERCALL, 8, BASE - PAGE_SIZE, "hypercall page where none is loaded"},
		{NOTE_HYPERCALL, 8, 2 * MiB, "hypercall page where none is loaded"},
		{NOTE_HYPERCALL, 8, 0xfffffffffffff000, "hypercall page where none is loaded"},
		{NOTE_HYPERCALL, 8, BASE + 2 * MiB + 0x1000, NULL},
		{NOTE_HYPERCALL, 8, BASE + 2 * MiB + 0x3000, NULL},
		{NOTE_P2M, 4 - 1, 0, "note of type 15 is no number"},
		{NOTE_P2M, 8, BASE, "asks for its page list at 0xffffffff80000000"},
		{NOTE_P2M, 8, BASE + 64 * MiB, "asks for its page list"},
		{NOTE_P2M, 8, 0xffffff8000000000 - 2 * PAGE_SIZE, "asks for its page list"},
		{NOTE_P2M, 8, 0xffffff8000000000 - 8 * PAGE_SIZE, NULL},
		{NOTE_P2M, 8, ELF_RECIPE_PV_P2M + 8, "asks for its page list"},
		{NOTE_P2M, 8, 0xffff800000000000, "page list at 0xffff800000000000"},
		{NOTE_P2M, 8, 0xffff87fffffff000, "asks for its page list"},
		{NOTE_P2M, 8, 0xffff880000000000, NULL},
		{NOTE_P2M, 8, 0x0000800000000000, "asks for its page list"},
		{NOTE_P2M, 8, 0x0000800000000000 - PAGE_SIZE, "asks for its page list"},
		{NOTE_P2M, 8, 0x0000800000000000 - 8 * PAGE_SIZE, NULL},
		{NOTE_P2M, 8, 0xfffffffffffff000, "asks for its page list"},
		{NOTE_P2M, 4, 0, NULL},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct image image;
		struct outcome out;

		elf_recipe_note(&recipe, t[i].type, t[i].value, t[i].len);
		image = elf_image(&recipe);
		out = load_as(space, &image, BOOT_PAGING_SHADOW);
		if (t[i].words)
			assert_true(is_refusal(&out, -ENOEXEC, t[i].words));
		else if (out.code)
			fail_msg("%zu: %s", i, out.err.text);
		image_free(&image);
		/* and none of it matters to those who do not ask */
		elf_recipe_note(&recipe, NOTE_ENTRY, 0, 0);
		image = elf_image(&recipe);
		out = load_as(space, &image, BOOT_PAGING_AUTO_SHADOW);
		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.mode, BOOT_PVH);
		image_free(&image);
	}
	space_destroy(space);
}

/* The kernel's own addresses: in the hypervisor's hole, not canonical, or up to the very end. */
static void bases_one_by_one(void **state)
{
	static const struct {
		u64 base;
		int code;
		const char *words;
	} t[] = {
		{0xffff800000000000, -ENOEXEC, "is linked to 0xffff800000000000"},
		{0xffff87fffffff000, -ENOEXEC, "is linked to 0xffff87fffffff000"},
		{0x0000800000000000, -ENOEXEC, "is linked to 0x800000000000"},
		{0x8000000000000000, -ENOEXEC, "is linked to 0x8000000000000000"},
		{0, 0, NULL},
		{0x00007fffffc00000, 0, NULL},
		{0x00007fffffe00000, -E2BIG,
		 "6 MiB of addresses, and from 0x7fffffe00000 on it "
		 "has 2"},
		{0xffff880000000000, 0, NULL},
		{0xffffffffffc00000, 0, NULL},
		{0xffffffffffe00000, -E2BIG, "MiB of addresses, and from 0xffffffffffe00000"},
		{0xfffffffffffff000, -E2BIG, "MiB of addresses, and from 0xfffffffffffff000"},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct image image;
		struct outcome out;

		elf_recipe_note(&recipe, NOTE_BASE, t[i].base, 8);
		elf_recipe_note(&recipe, NOTE_ENTRY, t[i].base + 2 * MiB, 8);
		image = elf_image(&recipe);
		out = load_as(space, &image, BOOT_PAGING_SHADOW);
		if (t[i].code)
			assert_true(is_refusal(&out, t[i].code, t[i].words));
		else if (out.code)
			fail_msg("%zu: %s", i, out.err.text);
		image_free(&image);
	}
	space_destroy(space);
}

/* A mapping that uses two entries of the top table leaves none of them to the page list. */
static void list_at_either_end(void **state)
{
	static const struct {
		u64 list;
		bool fits;
	} t[] = {
		{TOP_1 - 16 * PAGE_SIZE, true}, /* the first of the two is TOP_1's */
		{TOP_1 - PAGE_SIZE, false},	{TOP_1, false},
		{2 * TOP_1 + GiB, false},	{3 * TOP_1 - 16 * PAGE_SIZE, false},
		{3 * TOP_1 - PAGE_SIZE, false}, {3 * TOP_1, true},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct image image;
		struct outcome out;

		elf_recipe_note(&recipe, NOTE_BASE, 2 * TOP_1 - 2 * MiB, 8);
		elf_recipe_note(&recipe, NOTE_ENTRY, 2 * TOP_1, 8);
		elf_recipe_note(&recipe, NOTE_P2M, t[i].list, 8);
		image = elf_image(&recipe);
		out = load_as(space, &image, BOOT_PAGING_SHADOW);
		if (t[i].fits)
			assert_int_equal(out.code, 0);
		else
			assert_true(is_refusal(&out, -ENOEXEC, "asks for its page list"));
		image_free(&image);
	}
	space_destroy(space);
}

/* A kernel is loaded where its pfns are its frames. */
static void segment_above_the_hole(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct space *space = space_of(4 * GiB);
	struct image image;
	struct outcome out;

	(void)state;
	recipe.segments[1].paddr = 4 * GiB + MiB;
	image = elf_image(&recipe);
	out = load_as(space, &image, BOOT_PAGING_SHADOW);
	assert_true(is_refusal(&out, -ENOEXEC, "loads at 0x100100000, too high"));
	image_free(&image);
	space_destroy(space);
}

static struct elf_notes scan_one(u32 type, const void *desc, u32 len)
{
	struct elf_notes found = {0};
	u8 note[256] = {4, 0, 0, 0, (u8)len, 0, 0, 0, (u8)type, 0, 0, 0, 'X', 'e', 'n', 0};

	memcpy(note + 16, desc, len);
	elf_notes_scan(&found, note, align_up(16 + len, 4), 4);
	return found;
}

/* Lists of features: those known by name, those required, and what is no list. */
static void features(void **state)
{
	static const struct {
		const char *text;
		u64 supported, required;
	} t[] = {
		{"", 0, 0},
		{"writable_page_tables", 1, 0},
		{"!writable_page_tables", 1, 1},
		{"!writable_page_tables|pae_pgdir_above_4gb", 0x11, 1},
		{"pae_pgdir_above_4gb|!auto_translated_physmap|!dom0", 0x814, 0x804},
		{"writable_page_table|writable_page_tabless", 0, 0},
		{"!colour", 0, ELF_FEATURE_UNKNOWN},
		{"!", 0, ELF_FEATURE_UNKNOWN},
		{"|||", 0, 0},
		{"||writable_page_tables|", 1, 0},
		{"!writable_page_tables|!!dom0", 1, 1 | ELF_FEATURE_UNKNOWN},
	};
	u64 bits = 0x8801;
	struct elf_notes found;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(t); i++) {
		u32 len = (u32)strlen(t[i / 2].text) + (i & 1); /* with the zero, without */

		found = scan_one(NOTE_FEATURES, t[i / 2].text, len);
		assert_int_equal(found.features_supported, t[i / 2].supported);
		assert_int_equal(found.features_required, t[i / 2].required);
		assert_int_equal(found.odd, 0);
	}
	found = scan_one(NOTE_FEATURES, "dom0\0!supervisor_mode_kernel", 28);
	assert_int_equal(found.features_supported, 1 << 11);
	assert_int_equal(found.features_required, 0);
	found = scan_one(NOTE_SUPPORTED, &bits, 4);
	assert_int_equal(found.features_supported, 0x8801);
}

/* What the kernel cannot do without has to be here. */
static void required_features(void **state)
{
	static const struct {
		const char *text;
		const char *words;
	} t[] = {
		{"!pae_pgdir_above_4gb|!writable_page_tables", NULL},
		{"!auto_translated_physmap", "features 0x4,"},
		{"!supervisor_mode_kernel|!writable_page_tables", "features 0x8,"},
		{"supervisor_mode_kernel", NULL},
		{"!of_next_year", "features 0x8000000000000000,"},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct elf_recipe recipe = elf_recipe_pv();
		struct image image;
		struct outcome out;

		assert_int_equal(recipe.xen[3].type, NOTE_FEATURES);
		recipe.xen[3].text = t[i].text;
		recipe.xen[3].len = (u32)strlen(t[i].text);
		image = elf_image(&recipe);
		out = load_as(space, &image, BOOT_PAGING_SHADOW);
		if (t[i].words)
			assert_true(is_refusal(&out, -ENOEXEC, t[i].words));
		else
			assert_int_equal(out.code, 0);
		image_free(&image);
	}
	space_destroy(space);
}

/* A guest that was built sees its entry, its stack and start_info; else a sentence says why not. */
static void expect_sound(const struct space *space, const struct outcome *out,
			 const struct image *image)
{
	const struct pv_boot *boot = &out->entry.pv;
	struct ptwalk_result r;
	struct pv_guest g;

	if (out->code) {
		if (out->code > 0 || !is_sentence(&out->err))
			fail_msg("no sentence: %d \"%s\"", out->code, out->err.text);
		return;
	}
	assert_int_equal(out->entry.mode, BOOT_XEN_PV);
	assert_true(guest_has_elf(space, image->data, image->len));
	assert_true(pv_guest_init(&g, space, out));
	assert_true(pv_walk(&g, boot->rip, &r));
	assert_true(elf_covers(image->data, r.at.v));
	assert_true(pv_walk(&g, boot->rsp - 1, &r) && r.writable);
	assert_int_equal(pv_at(&g, pv_info(&g, SI_PT_BASE)), boot->root.v * PAGE_SIZE);
	assert_true(pv_walk(&g, pv_info(&g, SI_MFN_LIST), &r) && r.writable);
}

/* Every bit of headers and notes. */
static void flipped_bits(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct image image = elf_image(&recipe);
	size_t head = image.len - 1000; /* the segments' bytes */
	struct space *space = space_of(SIZE);
	unsigned int loaded = 0;

	(void)state;
	for (size_t bit = 0; bit < head * 8; bit++) {
		struct outcome out;

		image.data[bit / 8] ^= (u8)(1u << bit % 8);
		out = load_as(space, &image, BOOT_PAGING_SHADOW);
		expect_sound(space, &out, &image);
		loaded += !out.code;
		image.data[bit / 8] ^= (u8)(1u << bit % 8);
	}
	assert_in_range(loaded, head, head * 7);
	space_destroy(space);
	image_free(&image);
}

static void cut_off(void **state)
{
	struct elf_recipe recipe = elf_recipe_pv();
	struct image whole = elf_image(&recipe), image = whole;
	struct space *space = space_of(SIZE);

	(void)state;
	for (image.len = 0; image.len < whole.len; image.len++) {
		struct outcome out = load_as(space, &image, BOOT_PAGING_SHADOW);

		expect_sound(space, &out, &image);
		assert_int_not_equal(out.code, 0);
	}
	space_destroy(space);
	image_free(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_way_an_elf_goes),
		cmocka_unit_test(which_way_a_bzimage_goes),
		cmocka_unit_test(no_boot_data),
		cmocka_unit_test(command_line),
		cmocka_unit_test(notes_one_by_one),
		cmocka_unit_test(bases_one_by_one),
		cmocka_unit_test(list_at_either_end),
		cmocka_unit_test(segment_above_the_hole),
		cmocka_unit_test(features),
		cmocka_unit_test(required_features),
		cmocka_unit_test(flipped_bits),
		cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
