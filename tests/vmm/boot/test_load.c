// SPDX-License-Identifier: Apache-2.0
/*
 * ELF kernels entered by PVH: what gets into memory, what the guest is told, where command line and
 * initrd go; and what becomes of files that are cut off, bent or made to hurt.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vmm/boot/loading.h"
#include "vmm/devices/memmap.h"

#define SIZE (16 * MiB)

/* start_info: byte offsets of Xen's struct hvm_start_info */
enum {
	INFO_MAGIC = 0,
	INFO_VERSION = 4,
	INFO_FLAGS = 8,
	INFO_NR_MODULES = 12,
	INFO_MODLIST = 16,
	INFO_CMDLINE = 24,
	INFO_RSDP = 32,
	INFO_MEMMAP = 40,
	INFO_MEMMAP_ENTRIES = 48,
	MODULE_PADDR = 0,
	MODULE_SIZE = 8,
	MAP_ADDR = 0,
	MAP_SIZE = 8,
	MAP_TYPE = 16,
	MAP_ENTRY = 24,
};

/* Whatever was loaded, it was loaded rightly; whatever was refused, one sentence says so. */
static void expect_sound(const struct space *space, const struct outcome *out, const void *data,
			 size_t len)
{
	if (out->code) {
		assert_true(out->code < 0);
		if (!is_sentence(&out->err))
			fail_msg("no sentence: %d \"%s\"", out->code, out->err.text);
		return;
	}
	assert_int_equal(out->entry.mode, BOOT_PVH);
	assert_true(guest_has_elf(space, data, len));
	assert_true(elf_covers(data, out->entry.rip.v));
	assert_int_equal(guest_u32(space, out->entry.info.v + INFO_MAGIC), 0x336ec578);
}

static void test_plain(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	struct space *space = space_of(SIZE);
	struct outcome out = load_image(space, &image, NULL);
	u64 info = out.entry.info.v;

	(void)state;
	assert_int_equal(out.code, 0);
	assert_int_equal(out.entry.mode, BOOT_PVH);
	assert_int_equal(out.entry.rip.v, recipe.entry);
	assert_false(out.entry.linux);
	assert_true(guest_has_elf(space, image.data, image.len));
	assert_int_equal(info, MEMMAP_BOOT_INFO);
	assert_int_equal(guest_u32(space, info + INFO_MAGIC), 0x336ec578);
	assert_int_equal(guest_u32(space, info + INFO_VERSION), 1);
	assert_int_equal(guest_u32(space, info + INFO_FLAGS), 0);
	assert_int_equal(guest_u32(space, info + INFO_NR_MODULES), 0);
	assert_int_equal(guest_u64(space, info + INFO_MODLIST), 0);
	assert_int_equal(guest_u64(space, info + INFO_RSDP), 0);
	assert_true(guest_is(space, guest_u64(space, info + INFO_CMDLINE), "", 1));
	/* nothing but the boot data and the kernel was written */
	assert_true(guest_is_zero(space, 0, MEMMAP_BOOT_START));
	assert_true(guest_is_zero(space, MEMMAP_BOOT_END, 2 * MiB - MEMMAP_BOOT_END));
	assert_true(guest_is_zero(space, 2 * MiB + 0x4000, SIZE - 2 * MiB - 0x4000));
	space_destroy(space);
	image_free(&image);
}

static void test_variants(void **state)
{
	struct space *space = space_of(SIZE);

	(void)state;
	for (unsigned int i = 0; i < 16; i++) {
		struct elf_recipe recipe = elf_recipe_plain();
		struct image image;
		struct outcome out;

		recipe.type = i & 1 ? ET_DYN : ET_EXEC;
		recipe.notes = i & 2 ? NOTES_PVH64 : NOTES_PVH32;
		recipe.note_align = i & 4 ? 8 : 4;
		recipe.linux = i & 8;
		image = elf_image(&recipe);
		out = load_image(space, &image, NULL);
		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.rip.v, recipe.entry);
		assert_int_equal(out.entry.linux, recipe.linux);
		assert_true(guest_has_elf(space, image.data, image.len));
		image_free(&image);
	}
	space_destroy(space);
}

/* The list in guest memory is the memory map, for small, full and split memory. */
static void test_memory_list(void **state)
{
	static const u64 sizes[] = {16 * MiB, 3 * GiB, 3 * GiB + 2 * MiB, 8 * GiB};
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct space *space = space_of(sizes[i]);
		struct outcome out = load_image(space, &image, NULL);
		struct memmap_entry map[MEMMAP_MAX_ENTRIES];
		u64 list = guest_u64(space, out.entry.info.v + INFO_MEMMAP);
		u32 nr = guest_u32(space, out.entry.info.v + INFO_MEMMAP_ENTRIES);

		assert_int_equal(out.code, 0);
		assert_int_equal(nr, memmap_build(space, map));
		for (u32 e = 0; e < nr; e++, list += MAP_ENTRY) {
			assert_int_equal(guest_u64(space, list + MAP_ADDR), map[e].start);
			assert_int_equal(guest_u64(space, list + MAP_SIZE), map[e].size);
			assert_int_equal(guest_u32(space, list + MAP_TYPE), map[e].type);
		}
		space_destroy(space);
	}
	image_free(&image);
}

static void test_extras(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	u8 bytes[10000];
	struct image initrd = {.data = bytes, .len = sizeof(bytes)};
	struct extras extras = {
		.initrd = &initrd, .append = "console=ttyS0 quiet", .rsdp = 0xe0000};
	struct space *space = space_of(SIZE);
	struct outcome out;
	u64 info, module;

	(void)state;
	image_fill(bytes, sizeof(bytes), 7);
	out = load_image(space, &image, &extras);
	info = out.entry.info.v;
	assert_int_equal(out.code, 0);
	assert_int_equal(guest_u64(space, info + INFO_RSDP), 0xe0000);
	assert_true(guest_is(space, guest_u64(space, info + INFO_CMDLINE), extras.append,
			     strlen(extras.append) + 1));
	assert_int_equal(guest_u32(space, info + INFO_NR_MODULES), 1);
	module = guest_u64(space, info + INFO_MODLIST);
	assert_int_equal(guest_u64(space, module + MODULE_SIZE), sizeof(bytes));
	/* as high as whole pages allow */
	assert_int_equal(guest_u64(space, module + MODULE_PADDR), SIZE - 3 * PAGE_SIZE);
	assert_true(guest_is(space, SIZE - 3 * PAGE_SIZE, bytes, sizeof(bytes)));
	space_destroy(space);
	image_free(&image);
}

/* From the largest that fits down; one byte more is refused with the size that would do. */
static void test_initrd_fit(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	struct space *space = space_of(SIZE);
	u64 room = SIZE - (2 * MiB + 0x4000);
	struct image initrd = {.data = malloc(room + 1), .len = room};
	struct extras extras = {.initrd = &initrd};
	struct outcome out;

	(void)state;
	assert_non_null(initrd.data);
	image_fill(initrd.data, room + 1, 5);
	out = load_image(space, &image, &extras);
	assert_int_equal(out.code, 0);
	assert_true(guest_is(space, SIZE - room, initrd.data, room));
	assert_true(guest_has_elf(space, image.data, image.len));
	initrd.len = room + 1;
	out = load_image(space, &image, &extras);
	assert_true(is_refusal(&out, -E2BIG,
			       "14 MiB do not fit beside the kernel in 16 MiB of memory "
			       "(give --memory 18M or more)"));
	free(initrd.data);
	space_destroy(space);
	image_free(&image);
}

/* An initrd goes below the PCI hole even where there is RAM above. */
static void test_initrd_below_hole(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	struct space *space = space_of(5 * GiB);
	u8 byte = 0x5a;
	struct image initrd = {.data = &byte, .len = 1};
	struct extras extras = {.initrd = &initrd};
	struct outcome out = load_image(space, &image, &extras);

	(void)state;
	assert_int_equal(out.code, 0);
	assert_true(guest_is(space, 3 * GiB - PAGE_SIZE, &byte, 1));
	space_destroy(space);
	image_free(&image);
}

static void test_cmdline_limit(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	struct space *space = space_of(SIZE);
	char text[2049];
	struct extras extras = {.append = text};
	struct outcome out;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[2047] = 0;
	out = load_image(space, &image, &extras);
	assert_int_equal(out.code, 0);
	assert_true(guest_is(space, MEMMAP_BOOT_CMDLINE, text, 2048));
	text[2047] = 'x';
	text[2048] = 0;
	out = load_image(space, &image, &extras);
	assert_true(is_refusal(&out, -E2BIG, "2048 characters and the kernel takes 2047"));
	space_destroy(space);
	image_free(&image);
}

/* Pages of zeros in a file stay unbacked in the guest, and everything else arrives. */
static void test_large_and_sparse(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct space *space = space_of(64 * MiB);
	struct image image;
	struct outcome out;
	u64 resident;

	(void)state;
	recipe.segments[0].filesz = recipe.segments[0].memsz = 20 * MiB + 123;
	recipe.segments[1].paddr = 40 * MiB + 5;
	image = elf_image(&recipe);
	memset(image.data + 3 * MiB + 100, 0, 12 * MiB);
	out = load_image(space, &image, NULL);
	assert_int_equal(out.code, 0);
	assert_int_equal(space_resident(space, &resident), 0);
	assert_in_range(resident, 8 * MiB, 8 * MiB + 32 * KiB);
	assert_true(guest_has_elf(space, image.data, image.len));
	space_destroy(space);
	image_free(&image);
}

/* A segment above 4 GiB is loaded there, and cannot be entered. */
static void test_high_segment(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct space *space = space_of(4 * GiB);
	struct image image;
	struct outcome out;

	(void)state;
	recipe.segments[1].paddr = 4 * GiB + 1 * MiB;
	image = elf_image(&recipe);
	out = load_image(space, &image, NULL);
	assert_int_equal(out.code, 0);
	assert_true(guest_has_elf(space, image.data, image.len));
	image_free(&image);
	space_destroy(space);
}

static void test_truncated(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct space *space = space_of(SIZE);
	struct image image;

	(void)state;
	recipe.linux = true;
	image = elf_image(&recipe);
	for (size_t len = 0; len < image.len; len++) {
		struct outcome out = load_bytes(space, image.data, len, NULL);

		expect_sound(space, &out, image.data, len);
		assert_int_not_equal(out.code, 0);
	}
	space_destroy(space);
	image_free(&image);
}

/* Every bit of headers and notes. Those that do not matter must not have mattered. */
static void test_flipped_bits(void **state)
{
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe);
	size_t head = image.len - 1000; /* the segments' bytes */
	struct space *space = space_of(SIZE);
	unsigned int loaded = 0;

	(void)state;
	for (size_t bit = 0; bit < head * 8; bit++) {
		struct outcome out;

		image.data[bit / 8] ^= (u8)(1u << bit % 8);
		out = load_image(space, &image, NULL);
		expect_sound(space, &out, image.data, image.len);
		loaded += !out.code;
		image.data[bit / 8] ^= (u8)(1u << bit % 8);
	}
	/* flags, section table, names: a good part of a header is of no concern to us */
	assert_in_range(loaded, head, head * 7);
	space_destroy(space);
	image_free(&image);
}

/*
 * Each pair of fields of a program header, with values at all the edges that sums could fall over.
 */
static void test_hostile_fields(void **state)
{
	static const size_t fields[] = {
		offsetof(Elf64_Phdr, p_offset), offsetof(Elf64_Phdr, p_filesz),
		offsetof(Elf64_Phdr, p_paddr),	offsetof(Elf64_Phdr, p_memsz),
		offsetof(Elf64_Phdr, p_align),
	};
	static const u64 values[] = {0,
				     1,
				     0x6000,
				     1 * MiB,
				     SIZE - 1,
				     SIZE,
				     3 * GiB,
				     4 * GiB - 1,
				     4 * GiB,
				     (u64)1 << 63,
				     UINT64_MAX - SIZE,
				     UINT64_MAX - 2 * MiB + 1,
				     UINT64_MAX - 1,
				     UINT64_MAX};
	struct elf_recipe recipe = elf_recipe_plain();
	struct space *space = space_of(SIZE);

	(void)state;
	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(fields) * ARRAY_SIZE(fields); i++) {
		size_t a = fields[i / 3 % ARRAY_SIZE(fields)];
		size_t b = fields[i / 3 / ARRAY_SIZE(fields)];

		for (size_t v = 0; v < ARRAY_SIZE(values) * ARRAY_SIZE(values); v++) {
			struct image image = elf_image(&recipe);
			u8 *ph = image.data + ELF_IMAGE_PHDRS + i % 3 * sizeof(Elf64_Phdr);
			struct outcome out;

			memcpy(ph + a, &values[v / ARRAY_SIZE(values)], sizeof(u64));
			memcpy(ph + b, &values[v % ARRAY_SIZE(values)], sizeof(u64));
			out = load_image(space, &image, NULL);
			expect_sound(space, &out, image.data, image.len);
			image_free(&image);
		}
	}
	space_destroy(space);
}

/* Sizes in a note's header: each must end the list, not run off it. */
static void test_hostile_notes(void **state)
{
	static const u32 values[] = {
		0,	   1, 3, 4, 5, 8, 0x7fff, 65536, 1u << 31, UINT32_MAX - 15, UINT32_MAX - 3,
		UINT32_MAX};
	struct elf_recipe recipe = elf_recipe_plain();
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(values) * ARRAY_SIZE(values); i++) {
		struct image image;
		struct outcome out;
		u8 *nh;

		recipe.note_align = i & 1 ? 8 : 4;
		image = elf_image(&recipe);
		nh = image.data + ELF_IMAGE_PHDRS + 3 * sizeof(Elf64_Phdr);
		memcpy(nh, &values[i / 2 % ARRAY_SIZE(values)], 4);
		memcpy(nh + 4, &values[i / 2 / ARRAY_SIZE(values)], 4);
		out = load_image(space, &image, NULL);
		expect_sound(space, &out, image.data, image.len);
		image_free(&image);
	}
	space_destroy(space);
}

/* Recipes that must be refused, and the words that say why. */
static void test_refused(void **state)
{
	static const struct {
		size_t field; /* of the recipe, a u64 unless said otherwise */
		size_t size;
		u64 value;
		int code;
		const char *words;
	} cases[] = {
#define FIELD(f) offsetof(struct elf_recipe, f), sizeof(((struct elf_recipe *)NULL)->f)
		{FIELD(class), ELFCLASS32, -ENOEXEC, "32-bit"},
		{FIELD(class), 7, -ENOEXEC, "ELF64"},
		{FIELD(machine), EM_AARCH64, -ENOEXEC, "another machine, ELF number 183"},
		{FIELD(type), ET_REL, -ENOEXEC, "relocatable object"},
		{FIELD(type), ET_CORE, -ENOEXEC, "no program"},
		{FIELD(notes), NOTES_NONE, -ENOEXEC, "without a PVH entry"},
		{FIELD(entry), 5 * MiB, -ENOEXEC, "PVH entry where nothing is loaded"},
		{FIELD(segments[1].paddr), 0x6000, -ENOEXEC, "over boot data or firmware tables"},
		{FIELD(segments[1].paddr), 0xe0000, -ENOEXEC, "over boot data or firmware tables"},
		{FIELD(segments[1].paddr), 2 * MiB, -ENOEXEC, "two segments for the same memory"},
		{FIELD(segments[1].paddr), 15 * MiB, -1, ""},
		{FIELD(segments[1].paddr), 16 * MiB, -E2BIG,
		 "more than the guest's 16 MiB of memory (give --memory 18M or more)"},
		{FIELD(segments[1].paddr), 2 * GiB, -E2BIG, "(give --memory 2050M or more)"},
		{FIELD(segments[1].paddr), 5 * GiB, -E2BIG, "(give --memory 4098M or more)"},
		{FIELD(segments[1].paddr), 3 * GiB, -ENOEXEC, "where this machine has no memory"},
		{FIELD(segments[1].paddr), 1ull << 50, -ENOEXEC,
		 "where this machine has no memory"},
		{FIELD(segments[1].memsz), 1ull << 63, -ENOEXEC,
		 "where this machine has no memory"},
		{FIELD(segments[1].memsz), UINT64_MAX, -ENOEXEC, "beyond all addresses"},
		{FIELD(segments[1].memsz), 299, -ENOEXEC, "larger in the file than in memory"},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct elf_recipe recipe = elf_recipe_plain();
		struct image image;
		struct outcome out;

		memcpy((u8 *)&recipe + cases[i].field, &cases[i].value, cases[i].size);
		image = elf_image(&recipe);
		out = load_image(space, &image, NULL);
		if (cases[i].code == -1)
			assert_int_equal(out.code, 0);
		else
			assert_true(is_refusal(&out, cases[i].code, cases[i].words));
		image_free(&image);
	}
	space_destroy(space);
}

/* More program headers than fit, than are there, than we take. */
static void test_many_segments(void **state)
{
	static const struct {
		u16 phnum;
		size_t len;
		const char *words;
	} cases[] = {
		{0xffff, 64 + 56 * 100, "ends after"},
		{0xffff, 64 + 56 * 0xffff, "far from its start"},
		{200, 64 + 56 * 200, "more than 64 segments"},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct elf_recipe recipe = elf_recipe_plain();
		struct image image = elf_image(&recipe);
		u8 *file = calloc(1, cases[i].len);
		struct outcome out;

		assert_non_null(file);
		memcpy(file, image.data, 64);
		memcpy(file + offsetof(Elf64_Ehdr, e_phnum), &cases[i].phnum, 2);
		for (size_t at = 64; at + 56 <= cases[i].len; at += 56)
			memcpy(file + at, &(Elf64_Phdr){.p_type = PT_NOTE}, 56);
		out = load_bytes(space, file, cases[i].len, NULL);
		assert_true(is_refusal(&out, -ENOEXEC, cases[i].words));
		free(file);
		image_free(&image);
	}
	space_destroy(space);
}

/* Paths that are no kernel, under both names. */
static void test_bad_files(void **state)
{
	static const struct {
		const char *path;
		int code;
		const char *words;
	} cases[] = {
		{"/nonexistent/vmlinux", -ENOENT, "No such file"},
		{"/", -EISDIR, "is a directory"},
		{"/dev/null", -EINVAL, "is not a regular file"},
		{"/nonexistent/a\nb\x1b[31m", -ENOENT, "No such file"},
	};
	struct elf_recipe recipe = elf_recipe_plain();
	struct image image = elf_image(&recipe), empty = {0};
	struct space *space = space_of(SIZE);
	struct image_file good;
	struct outcome out;

	(void)state;
	image_file_open(&good, image.data, image.len);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const char *path = cases[i / 2].path;
		struct boot_source src = {.kernel = i & 1 ? good.path : path,
					  .initrd = i & 1 ? path : NULL};

		out = (struct outcome){0};
		out.code = boot_load(space, &src, &out.entry, &out.err);
		assert_true(is_refusal(&out, cases[i / 2].code, cases[i / 2].words));
		assert_non_null(strstr(out.err.text, i & 1 ? "initrd /" : "kernel /"));
		space_punch(space, gpa(0), SIZE);
	}
	image_file_close(&good);
	out = load_image(space, &image, &(struct extras){.initrd = &empty});
	assert_true(is_refusal(&out, -EINVAL, "is empty"));
	out = load_image(space, &empty, NULL);
	assert_true(is_refusal(&out, -EINVAL, "is empty"));
	out = load_bytes(space, "#!/bin/sh\n", 10, NULL);
	assert_true(is_refusal(&out, -ENOEXEC, "is no kernel image"));
	space_destroy(space);
	image_free(&image);
}

/* A FIFO must not hold the VMM up, and a path longer than a line must not push out the reason. */
static void test_odd_paths(void **state)
{
	char dir[] = "/tmp/quire-test-XXXXXX", path[64], deep[1200];
	struct space *space = space_of(SIZE);
	struct outcome out = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	out.code = boot_load(space, &(struct boot_source){.kernel = path}, &out.entry, &out.err);
	assert_true(is_refusal(&out, -EINVAL, "is not a regular file"));
	unlink(path);
	rmdir(dir);

	memset(deep, 'd', sizeof(deep));
	for (size_t i = 0; i < sizeof(deep); i += 100)
		deep[i] = '/';
	strcpy(deep + sizeof(deep) - 10, "/theend");
	out = (struct outcome){0};
	out.code = boot_load(space, &(struct boot_source){.kernel = deep}, &out.entry, &out.err);
	assert_true(is_refusal(&out, -ENOENT, "/theend: No such file"));
	space_destroy(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	      cmocka_unit_test(test_variants),
		cmocka_unit_test(test_memory_list),   cmocka_unit_test(test_extras),
		cmocka_unit_test(test_initrd_fit),    cmocka_unit_test(test_initrd_below_hole),
		cmocka_unit_test(test_cmdline_limit), cmocka_unit_test(test_large_and_sparse),
		cmocka_unit_test(test_high_segment),  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped_bits),  cmocka_unit_test(test_hostile_fields),
		cmocka_unit_test(test_hostile_notes), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many_segments), cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_odd_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
