// SPDX-License-Identifier: Apache-2.0
/*
 * bzImages: unpacked on the host in each of the three formats, entered as they are where that
 * cannot be, and every way in which header and payload can be cut off or bent.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/boot/loading.h"
#include "vmm/devices/memmap.h"

#define SIZE (16 * MiB)

/* Offsets in boot_params and in the file: Documentation/arch/x86/boot.rst and zero-page.rst */
enum {
	BP_ACPI_RSDP = 0x070,
	BP_E820_ENTRIES = 0x1e8,
	BP_SENTINEL = 0x1ef,
	BP_BOOT_FLAG = 0x1fe,
	BP_HEADER = 0x202,
	BP_VERSION = 0x206,
	BP_LOADER_TYPE = 0x210,
	BP_CODE32_START = 0x214,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_CMD_LINE_PTR = 0x228,
	BP_SETUP_DATA = 0x250,
	BP_PREF_ADDRESS = 0x258,
	BP_E820_TABLE = 0x2d0,
	E820_ENTRY = 20,
	SETUP_HEADER = 0x1f1,
	SETUP_HEADER_END = 0x26c,
};

/* A loaded bzImage is Linux; it was entered in one of two ways, and is in memory accordingly. */
static void expect_loaded(const struct space *space, const struct outcome *out,
			  const struct image *image, const struct image *kernel)
{
	u64 code = out->entry.rip.v - 0x200;

	if (out->code)
		fail_msg("refused: %d %s", out->code, out->err.text);
	assert_true(out->entry.linux);
	if (out->entry.mode == BOOT_PVH) {
		assert_true(guest_has_elf(space, kernel->data, kernel->len));
		assert_true(elf_covers(kernel->data, out->entry.rip.v));
		return;
	}
	assert_int_equal(out->entry.mode, BOOT_LONG64);
	assert_int_equal(guest_u64(space, out->entry.info.v + BP_PREF_ADDRESS), code);
	assert_true(guest_is(space, code, image->data + BZIMAGE_CODE, image->len - BZIMAGE_CODE));
}

static struct image plain_kernel(void)
{
	struct elf_recipe recipe = elf_recipe_plain();

	return elf_image(&recipe);
}

static void test_unpacked(void **state)
{
	struct image kernel = plain_kernel();
	struct space *space = space_of(SIZE);
	u64 resident;

	(void)state;
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &kernel);
		struct outcome out = load_image(space, &image, NULL);

		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.mode, BOOT_PVH);
		assert_int_equal(out.entry.rip.v, 2 * MiB);
		assert_true(out.entry.linux);
		assert_true(guest_has_elf(space, kernel.data, kernel.len));
		assert_int_equal(space_resident(space, &resident), 0);
		assert_in_range(resident, 1, 64 * KiB);
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

/* Larger than any window, with parts that compress to nothing and parts that do not compress. */
static void test_unpacked_large(void **state)
{
	struct elf_recipe elf = elf_recipe_plain();
	struct space *space = space_of(64 * MiB);
	struct image kernel;

	(void)state;
	elf.segments[0].filesz = elf.segments[0].memsz = 21 * MiB + 77;
	elf.segments[1].paddr = 30 * MiB;
	elf.segments[1].filesz = elf.segments[1].memsz = 3 * MiB + 1;
	kernel = elf_image(&elf);
	memset(kernel.data + 5 * MiB + 9, 0, 9 * MiB);
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &kernel);
		struct outcome out = load_image(space, &image, NULL);
		u64 resident;

		assert_int_equal(out.code, 0);
		assert_int_equal(out.entry.mode, BOOT_PVH);
		/* before anything is read: reading brings pages of zeros into a memfd */
		assert_int_equal(space_resident(space, &resident), 0);
		assert_in_range(resident, 15 * MiB, 15 * MiB + 64 * KiB);
		assert_true(guest_has_elf(space, kernel.data, kernel.len));
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

/*
 * The zero page, tables and registers of the long-mode way, by the byte offsets of the documents.
 */
static void expect_long64(const struct space *space, const struct outcome *out, u64 code)
{
	u64 bp = out->entry.info.v, e820 = bp + BP_E820_TABLE;
	struct memmap_entry map[MEMMAP_MAX_ENTRIES];
	unsigned int nr = memmap_build(space, map);
	u8 sentinel = 0, loader = 0xff, entries = (u8)nr;

	assert_int_equal(out->code, 0);
	assert_int_equal(out->entry.mode, BOOT_LONG64);
	assert_int_equal(out->entry.rip.v, code + 0x200);
	assert_true(out->entry.linux);
	assert_true(guest_is(space, bp + BP_HEADER, "HdrS", 4));
	assert_true(guest_is(space, bp + BP_SENTINEL, &sentinel, 1));
	assert_true(guest_is(space, bp + BP_LOADER_TYPE, &loader, 1));
	assert_true(guest_is(space, bp + BP_E820_ENTRIES, &entries, 1));
	assert_int_equal(guest_u32(space, bp + BP_CODE32_START), code);
	assert_int_equal(guest_u64(space, bp + BP_SETUP_DATA), 0);
	for (unsigned int i = 0; i < nr; i++, e820 += E820_ENTRY) {
		assert_int_equal(guest_u64(space, e820), map[i].start);
		assert_int_equal(guest_u64(space, e820 + 8), map[i].size);
		assert_int_equal(guest_u32(space, e820 + 16), map[i].type);
	}
	assert_int_equal(guest_u64(space, out->entry.gdt.v), 0);
	assert_int_equal(guest_u64(space, out->entry.gdt.v + 0x10), 0x00af9a000000ffff);
	assert_int_equal(guest_u64(space, out->entry.gdt.v + 0x18), 0x00cf92000000ffff);
}

/* Walk the tables as a CPU would: @va must map to itself, writable. */
static bool maps_to_itself(const struct space *space, u64 cr3, u64 va)
{
	u64 table = cr3, entry = 0;

	for (int shift = 39; shift >= 21; shift -= 9) {
		entry = guest_u64(space, table + (va >> shift & 511) * 8);
		if ((entry & 3) != 3)
			return false;
		table = entry & 0x000ffffffffff000;
	}
	return (entry & 0x80) && table + (va & (2 * MiB - 1)) == va;
}

static void test_long64(void **state)
{
	struct image kernel = plain_kernel();
	struct bzimage_recipe recipe = bzimage_recipe_plain(PACK_XZ);
	struct image image = bzimage_image(&recipe, &kernel);
	struct extras extras = {.initrd = &kernel, .append = "root=/dev/vda", .rsdp = 0xe0000};
	struct space *space = space_of(SIZE);
	struct outcome out = load_image(space, &image, &extras);
	u64 bp = out.entry.info.v;
	u32 initrd;

	(void)state;
	expect_long64(space, &out, recipe.pref_address);
	assert_true(guest_is(space, recipe.pref_address, image.data + BZIMAGE_CODE,
			     image.len - BZIMAGE_CODE));
	assert_int_equal(guest_u64(space, bp + BP_ACPI_RSDP), 0xe0000);
	assert_true(guest_is(space, guest_u32(space, bp + BP_CMD_LINE_PTR), "root=/dev/vda", 14));
	initrd = guest_u32(space, bp + BP_RAMDISK_IMAGE);
	assert_int_equal(initrd, SIZE - PAGE_SIZE);
	assert_int_equal(guest_u32(space, bp + BP_RAMDISK_SIZE), kernel.len);
	assert_true(guest_is(space, initrd, kernel.data, kernel.len));
	for (u64 va = 0; va < 4 * GiB; va += 2 * MiB)
		assert_true(maps_to_itself(space, out.entry.cr3.v, va));
	assert_false(maps_to_itself(space, out.entry.cr3.v, 4 * GiB));
	assert_false(maps_to_itself(space, out.entry.cr3.v, 512 * GiB));
	space_destroy(space);
	image_free(&image);
	image_free(&kernel);
}

/* An unpacked kernel without a PVH entry is taken back, and the image entered as it is. */
static void test_no_pvh(void **state)
{
	struct elf_recipe elf = elf_recipe_plain();
	struct space *space = space_of(SIZE);
	struct image kernel;

	(void)state;
	elf.notes = NOTES_NONE;
	elf.linux = true;
	elf.segments[0].paddr = 8 * MiB;
	elf.segments[1].paddr = 9 * MiB;
	kernel = elf_image(&elf);
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &kernel);
		struct outcome out = load_image(space, &image, NULL);

		expect_long64(space, &out, recipe.pref_address);
		expect_loaded(space, &out, &image, &kernel);
		assert_true(guest_is_zero(space, 8 * MiB, 2 * MiB));
		assert_string_equal(out.err.text, "");
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

/* What is packed may be something else altogether. */
static void test_not_elf(void **state)
{
	u8 bytes[3000];
	struct image other = {.data = bytes, .len = sizeof(bytes)};
	struct space *space = space_of(SIZE);

	(void)state;
	image_fill(bytes, sizeof(bytes), 3);
	for (enum packing p = PACK_LZ4; p <= PACK_ZSTD; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &other);
		struct outcome out = load_image(space, &image, NULL);

		expect_long64(space, &out, recipe.pref_address);
		image_free(&image);
	}
	space_destroy(space);
}

static void test_initrd_addr_max(void **state)
{
	struct image kernel = plain_kernel();
	struct bzimage_recipe recipe = bzimage_recipe_plain(PACK_XZ);
	struct image image, initrd = {.data = malloc(2 * MiB), .len = 2 * MiB};
	struct extras extras = {.initrd = &initrd};
	struct space *space = space_of(SIZE);
	struct outcome out;

	(void)state;
	assert_non_null(initrd.data);
	image_fill(initrd.data, initrd.len, 11);
	recipe.initrd_addr_max = 5 * MiB - 1; /* kernel: 2 to 3 MiB */
	image = bzimage_image(&recipe, &kernel);
	out = load_image(space, &image, &extras);
	assert_int_equal(out.code, 0);
	assert_int_equal(guest_u32(space, out.entry.info.v + BP_RAMDISK_IMAGE), 3 * MiB);
	image_free(&image);

	recipe.initrd_addr_max = 5 * MiB - 2;
	image = bzimage_image(&recipe, &kernel);
	out = load_image(space, &image, &extras);
	assert_true(is_refusal(&out, -E2BIG, "2 MiB do not fit below 5 MiB"));
	image_free(&image);

	/* A PVH entry does not go through the code that has this limit. */
	recipe.packing = PACK_LZ4;
	image = bzimage_image(&recipe, &kernel);
	out = load_image(space, &image, &extras);
	assert_int_equal(out.code, 0);
	assert_int_equal(out.entry.mode, BOOT_PVH);
	assert_true(guest_is(space, SIZE - 2 * MiB, initrd.data, initrd.len));
	image_free(&image);
	free(initrd.data);
	space_destroy(space);
	image_free(&kernel);
}

static void test_cmdline_size(void **state)
{
	static const struct {
		u32 header;
		size_t max;
	} cases[] = {{0, 0},	   {255, 255},	  {2047, 2047},
		     {4095, 4095}, {65536, 4095}, {UINT32_MAX, 4095}};
	struct image kernel = plain_kernel();
	struct space *space = space_of(SIZE);
	char text[4097];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(i & 1 ? PACK_LZ4 : PACK_XZ);
		struct image image;
		struct outcome out;

		recipe.cmdline_size = cases[i / 2].header;
		image = bzimage_image(&recipe, &kernel);
		memset(text, 0, sizeof(text));
		memset(text, 'c', cases[i / 2].max);
		out = load_image(space, &image, &(struct extras){.append = text});
		assert_int_equal(out.code, 0);
		assert_true(guest_is(space, 0x7000, text, cases[i / 2].max + 1));
		text[cases[i / 2].max] = 'c';
		out = load_image(space, &image, &(struct extras){.append = text});
		assert_true(is_refusal(&out, -E2BIG, "command line: has "));
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

static void test_refused(void **state)
{
	static const struct {
		size_t field, size;
		u64 value;
		int code;
		const char *words;
	} cases[] = {
#define FIELD(f) offsetof(struct bzimage_recipe, f), sizeof(((struct bzimage_recipe *)NULL)->f)
		{FIELD(version), 0x0205, -ENOEXEC, "boot protocol 2.5 is too old"},
		{FIELD(version), 0x020b, -ENOEXEC, "without a PVH or 64-bit entry"},
		{FIELD(xloadflags), 0, -ENOEXEC, "without a PVH or 64-bit entry"},
		{FIELD(pref_address), 0, -ENOEXEC, "no place for its code"},
		{FIELD(pref_address), 1 * MiB - 1, -ENOEXEC, "no place for its code"},
		{FIELD(pref_address), UINT64_MAX, -ENOEXEC, "where this machine has none"},
		{FIELD(pref_address), 3 * GiB, -ENOEXEC, "where this machine has none"},
		{FIELD(pref_address), 16 * MiB, -E2BIG, "(give --memory 18M or more)"},
		{FIELD(init_size), 15 * MiB, -E2BIG, "(give --memory 18M or more)"},
		{FIELD(init_size), UINT32_MAX, -ENOEXEC, "where this machine has none"},
	};
	struct image kernel = plain_kernel();
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(PACK_XZ);
		struct image image;
		struct outcome out;

		memcpy((u8 *)&recipe + cases[i].field, &cases[i].value, cases[i].size);
		image = bzimage_image(&recipe, &kernel);
		out = load_image(space, &image, NULL);
		assert_true(is_refusal(&out, cases[i].code, cases[i].words));
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

/* The packed kernel itself may be one that we refuse, and then there is no second way. */
static void test_refused_inside(void **state)
{
	static const struct {
		u8 class;
		u64 paddr;
		int code;
		const char *words;
	} cases[] = {
		{ELFCLASS32, 2 * MiB, -ENOEXEC, "32-bit"},
		{ELFCLASS64, 500 * MiB, -E2BIG, "(give --memory 502M or more)"},
		{ELFCLASS64, 0x7000, -ENOEXEC, "over boot data"},
	};
	struct space *space = space_of(SIZE);

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(cases); i++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(PACK_LZ4 + i % 3);
		struct elf_recipe elf = elf_recipe_plain();
		struct image kernel, image;
		struct outcome out;

		elf.class = cases[i / 3].class;
		elf.segments[1].paddr = cases[i / 3].paddr;
		kernel = elf_image(&elf);
		image = bzimage_image(&recipe, &kernel);
		out = load_image(space, &image, NULL);
		assert_true(is_refusal(&out, cases[i / 3].code, cases[i / 3].words));
		image_free(&image);
		image_free(&kernel);
	}
	space_destroy(space);
}

/* A header announces how long the file is, so that a shorter one is noticed wherever it ends. */
static void test_truncated(void **state)
{
	struct image kernel = plain_kernel();
	struct space *space = space_of(SIZE);

	(void)state;
	for (enum packing p = 0; p < NR_PACKINGS; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &kernel);

		for (size_t len = 0; len < image.len; len++) {
			struct outcome out = load_bytes(space, image.data, len, NULL);

			/* syssize may be rounded either way: the last paragraph may lack bytes */
			if (!out.code)
				assert_in_range(len, image.len - 15, image.len - 1);
			else if (!is_sentence(&out.err))
				fail_msg("%zu bytes: %d \"%s\"", len, out.code, out.err.text);
		}
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

static void test_flipped_header_bits(void **state)
{
	struct image kernel = plain_kernel();
	struct space *space = space_of(SIZE);
	unsigned int loaded = 0;

	(void)state;
	for (enum packing p = 0; p < NR_PACKINGS; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);
		struct image image = bzimage_image(&recipe, &kernel);

		for (size_t bit = SETUP_HEADER * 8; bit < SETUP_HEADER_END * 8; bit++) {
			struct outcome out;

			image.data[bit / 8] ^= (u8)(1u << bit % 8);
			out = load_image(space, &image, NULL);
			/* setup_sects moves the code, so the file's own word on that is not ours */
			if (out.code && !is_sentence(&out.err))
				fail_msg("bit %zu: %d \"%s\"", bit, out.code, out.err.text);
			if (!out.code && bit / 8 != SETUP_HEADER)
				expect_loaded(space, &out, &image, &kernel);
			loaded += !out.code;
			image.data[bit / 8] ^= (u8)(1u << bit % 8);
		}
		image_free(&image);
	}
	assert_in_range(loaded, 1000, NR_PACKINGS * 8 * 0x7b - 200);
	space_destroy(space);
	image_free(&kernel);
}

/* Header words against each other: sums that wrap, ranges that leave the file. */
static void test_hostile_header(void **state)
{
	static const size_t fields[] = {
		offsetof(struct setup_header, payload_offset),
		offsetof(struct setup_header, payload_length),
		offsetof(struct setup_header, syssize),
		offsetof(struct setup_header, init_size),
		offsetof(struct setup_header, pref_address),
		offsetof(struct setup_header, initrd_addr_max),
	};
	static const u32 values[] = {0,		 1,
				     7,		 8,
				     0x240,	 0x7fffffff,
				     0x80000000, UINT32_MAX - 0x240,
				     UINT32_MAX, UINT32_MAX / 16};
	struct image kernel = plain_kernel();
	struct extras extras = {.initrd = &kernel};
	struct space *space = space_of(SIZE);
	size_t cases = ARRAY_SIZE(fields) * ARRAY_SIZE(fields) * ARRAY_SIZE(values) *
		       ARRAY_SIZE(values);

	(void)state;
	for (size_t i = 0; i < cases * NR_PACKINGS; i++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(i / cases);
		struct image image = bzimage_image(&recipe, &kernel);
		size_t c = i % cases, v = c / ARRAY_SIZE(fields) / ARRAY_SIZE(fields);
		u8 *header = image.data + SETUP_HEADER;
		struct outcome out;

		memcpy(header + fields[c % ARRAY_SIZE(fields)], &values[v % ARRAY_SIZE(values)], 4);
		memcpy(header + fields[c / ARRAY_SIZE(fields) % ARRAY_SIZE(fields)],
		       &values[v / ARRAY_SIZE(values)], 4);
		out = load_image(space, &image, &extras);
		if (out.code && !is_sentence(&out.err))
			fail_msg("case %zu: %d \"%s\"", i, out.code, out.err.text);
		if (!out.code)
			expect_loaded(space, &out, &image, &kernel);
		image_free(&image);
	}
	space_destroy(space);
	image_free(&kernel);
}

/* Debian's own kernel, where the Linux guest has been built: both ways into it. */
static void test_debian(void **state)
{
	const char *path = "build/linux/vmlinuz";
	struct space *space;
	struct outcome out = {0};
	u64 resident;

	(void)state;
	if (access(path, R_OK)) {
		print_message("# %s has not been built: a stock kernel was not loaded\n", path);
		skip();
	}
	space = space_of(256 * MiB);
	out.code = boot_load(space, &(struct boot_source){.kernel = path}, &out.entry, &out.err);
	assert_int_equal(out.code, 0);
	assert_int_equal(out.entry.mode, BOOT_PVH);
	assert_true(out.entry.linux);
	assert_in_range(out.entry.rip.v, 16 * MiB, 64 * MiB);
	assert_int_equal(space_resident(space, &resident), 0);
	assert_in_range(resident, 20 * MiB, 45 * MiB);
	space_destroy(space);

	space = space_of(SIZE);
	out.code = boot_load(space, &(struct boot_source){.kernel = path}, &out.entry, &out.err);
	assert_true(is_refusal(&out, -E2BIG, "needs more than the guest's 16 MiB of memory"));
	space_destroy(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unpacked),
		cmocka_unit_test(test_unpacked_large),
		cmocka_unit_test(test_long64),
		cmocka_unit_test(test_no_pvh),
		cmocka_unit_test(test_not_elf),
		cmocka_unit_test(test_initrd_addr_max),
		cmocka_unit_test(test_cmdline_size),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_inside),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped_header_bits),
		cmocka_unit_test(test_hostile_header),
		cmocka_unit_test(test_debian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
