// SPDX-License-Identifier: Apache-2.0
/*
 * A state as bytes: what is written is read again, for ever, and what is damaged or cannot be is
 * refused. tests/vmm/state/golden/state-v1.bin is what the first version wrote;
 * QUIRE_WRITE_GOLDEN=1 writes it anew, which is right only while nobody has states of that version.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vmm/boot/loading.h"
#include "tests/vmm/state/state_fixture.h"

#define GOLDEN "tests/vmm/state/golden/state-v1.bin"

/* Of the format: magic, version, size, sum; then tag, instance, version, zero, size. */
#define HEADER	   24u
#define SECTION	   16u
#define VERSION_AT 8u
#define SIZE_AT	   12u

static int parse(const struct state_buf *buf, struct state_shape *shape, struct err *err)
{
	return state_parse(buf->data, buf->size, shape, err);
}

/* What a state with this change comes to. */
static void expect(const struct fixture_change *change, int ret, const char *words)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err = {""};

	fixture_make(&buf, 2, change);
	assert_int_equal(parse(&buf, &shape, &err), ret);
	if (ret && !strstr(err.text, words))
		fail_msg("\"%s\" without \"%s\"", err.text, words);
	free(buf.data);
}

static void sections_come_back(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_section s;
	u32 at = 0;

	(void)state;
	for (int round = 0; round < 2; round++) { /* the buffer is used again */
		assert_int_equal(state_begin(&buf), 0);
		for (u32 i = 0; i < 20; i++)
			memset(state_add(&buf, i / 2 + 1, i % 2, (u16)(i + 1), i), (int)i, i);
		state_end(&buf);
	}
	assert_int_equal(state_check(buf.data, buf.size, NULL), 0);
	for (u32 i = 0; i < 20; i++) {
		assert_true(state_next(buf.data, buf.size, &at, &s));
		assert_int_equal(s.tag, i / 2 + 1);
		assert_int_equal(s.instance, i % 2);
		assert_int_equal(s.version, i + 1);
		assert_int_equal(s.size, i);
		assert_int_equal((uintptr_t)s.data % 8, 0);
		for (u32 k = 0; k < i; k++)
			assert_int_equal(((const u8 *)s.data)[k], i);
	}
	assert_false(state_next(buf.data, buf.size, &at, &s));
	assert_true(state_find(buf.data, buf.size, 4, 1, &s));
	assert_int_equal(s.size, 7);
	assert_false(state_find(buf.data, buf.size, 4, 2, &s));
	free(buf.data);
}

static void a_whole_one_is_taken(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;

	(void)state;
	for (unsigned int n = 1; n <= 16; n++) {
		fixture_make(&buf, n, NULL);
		assert_int_equal(parse(&buf, &shape, NULL), 0);
		assert_int_equal(shape.nr_cpus, n);
		assert_int_equal(shape.memory, FIXTURE_MEMORY);
		assert_int_equal(shape.wall_ns, FIXTURE_WALL_NS);
		assert_int_equal(shape.tsc_khz, FIXTURE_TSC_KHZ);
		assert_int_equal(shape.kvm, 1);
		assert_int_equal(shape.cpuid->nent, FIXTURE_NR_CPUID);
		assert_int_equal(shape.cpuid->entries[2].edx, 0x4002);
	}
	fixture_make(&buf, 17, NULL);
	assert_int_equal(parse(&buf, &shape, NULL), -EBADMSG);
	free(buf.data);
}

/* Where the header of a section begins. */
static u32 begin_of(const struct state_buf *buf, u32 tag, u32 instance)
{
	struct state_section s;

	assert_true(state_find(buf->data, buf->size, tag, instance, &s));
	return (u32)((const u8 *)s.data - buf->data) - SECTION;
}

/*
 * In memory of just its size, so that a sanitizer sees a read behind the end. Only devices, which
 * come last, can be missing.
 */
static void cut_anywhere(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	u32 none, one;

	(void)state;
	fixture_make(&buf, 1, NULL);
	none = begin_of(&buf, STATE_DEVICE, 0);
	one = begin_of(&buf, STATE_DEVICE, 3);
	for (u32 size = 0; size < buf.size; size++) {
		struct err err = {""};
		u8 *cut = malloc(size + !size);

		memcpy(cut, buf.data, size);
		assert_int_equal(state_parse(cut, size, &shape, &err), -EBADMSG);
		assert_true(is_sentence(&err));
		/* the same where the header agrees with it, sum and all */
		if (size >= HEADER) {
			struct state_buf again = {cut, size, size};
			bool whole = size == none || size == one;

			state_end(&again);
			assert_int_equal(state_parse(cut, size, &shape, &err),
					 whole ? 0 : -EBADMSG);
		}
		free(cut);
	}
	free(buf.data);
}

static void any_bit_flipped(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;

	(void)state;
	fixture_make(&buf, 1, NULL);
	for (u32 bit = 0; bit < buf.size * 8; bit++) {
		struct err err = {""};
		int ret;

		buf.data[bit / 8] ^= (u8)(1 << bit % 8);
		ret = parse(&buf, &shape, &err);
		buf.data[bit / 8] ^= (u8)(1 << bit % 8);
		assert_true(ret == -EBADMSG || (ret == -EOPNOTSUPP && bit / 32 == VERSION_AT / 4));
		assert_true(is_sentence(&err));
	}
	assert_int_equal(parse(&buf, &shape, NULL), 0);
	free(buf.data);
}

static const struct {
	u32 tag, instance;
} needed[] = {
	{STATE_MACHINE, 0}, {STATE_CPUID, 0}, {STATE_CPUID, 1},	  {STATE_SREGS, 1},
	{STATE_REGS, 0},    {STATE_XSAVE, 1}, {STATE_XCRS, 0},	  {STATE_DEBUG, 1},
	{STATE_LAPIC, 0},   {STATE_MSRS, 1},  {STATE_EVENTS, 0},  {STATE_MP, 1},
	{STATE_IRQCHIP, 0}, {STATE_PIT, 0},   {STATE_IRQCHIP, 2}, {STATE_CLOCK, 0},
};

static void each_section_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct fixture_change c = {.tag = needed[i].tag, .instance = needed[i].instance};
		bool list = c.tag == STATE_CPUID || c.tag == STATE_MSRS;

		c.drop = true;
		expect(&c, -EBADMSG, "is missing");
		c.drop = false;
		c.twice = true;
		expect(&c, -EBADMSG, "comes twice");
		c.twice = false;
		c.version = 2;
		expect(&c, -EOPNOTSUPP, "version 2 of section");
		c.version = 0;
		for (c.grow = -3; c.grow <= 40; c.grow++)
			if (c.grow)
				expect(&c, -EBADMSG, list ? "wrong size" : "bytes instead of");
		c.grow = 0;
		c.new_instance = 16;
		expect(&c, -EBADMSG, "");
	}
}

/* A list's count is believed only if the section is as large as that. */
static void counts_that_lie(void **state)
{
	static const u32 tags[] = {STATE_CPUID, STATE_MSRS};
	static const u32 counts[] = {0, 1, 1024, 1025, 0x10000004, 0x80000003, UINT32_MAX};

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(tags); t++) {
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			struct state_buf buf = {NULL, 0, 0};
			struct state_shape shape;
			struct state_section s;

			fixture_make(&buf, 1, NULL);
			assert_true(state_find(buf.data, buf.size, tags[t], 0, &s));
			memcpy(buf.data + ((const u8 *)s.data - buf.data), &counts[i], 4);
			state_end(&buf);
			assert_int_equal(parse(&buf, &shape, NULL), -EBADMSG);
			free(buf.data);
		}
	}
}

static void unknown_sections(void **state)
{
	struct fixture_change c = {.tag = STATE_PIT, .extra_tag = STATE_TAG('N', 'E', 'W', 'S')};

	(void)state;
	expect(&c, -EOPNOTSUPP, "is not known here (update quire)");
	c.extra_tag = STATE_TAG('n', 'E', 'W', 'S');
	expect(&c, 0, "");
	c.extra_tag = STATE_REGS; /* known, but of vCPU 0 there are registers */
	expect(&c, -EBADMSG, "comes twice");
}

static void extra_instances(void **state)
{
	struct fixture_change c = {.tag = STATE_REGS, .instance = 1, .new_instance = 2};
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err;

	(void)state;
	expect(&c, -EBADMSG, "the machine has no 2");
	fixture_make(&buf, 1, NULL);
	assert_non_null(state_add(&buf, STATE_MP, 1, 1, 4));
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "the machine has no 1"));
	free(buf.data);
}

static void too_many_sections(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err;

	(void)state;
	fixture_make(&buf, 1, NULL);
	for (u32 i = 0; i < STATE_SECTIONS_MAX; i++)
		assert_non_null(state_add(&buf, STATE_TAG('x', 0, 0, 0), i, 1, 0));
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "too many sections"));
	free(buf.data);
}

static void gaps_are_zeros(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct state_section s;
	u8 *data;

	(void)state;
	fixture_make(&buf, 1, NULL);
	assert_true(state_find(buf.data, buf.size, STATE_DEVICE, 0, &s));
	data = buf.data + ((const u8 *)s.data - buf.data);
	data[s.size] = 1;
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, NULL), -EBADMSG);
	data[s.size] = 0;
	data[-6] = 1;
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, NULL), -EBADMSG);
	data[-6] = 0;
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, NULL), 0);
	free(buf.data);
}

static void machines_that_cannot_be(void **state)
{
	static const struct state_machine bad[] = {
		{.memory = 0, .nr_cpus = 1},
		{.memory = 64 * MiB + 4096, .nr_cpus = 1},
		{.memory = UINT64_MAX - 2 * MiB + 1, .nr_cpus = 1},
		{.memory = 64 * MiB, .nr_cpus = 0},
		{.memory = 64 * MiB, .nr_cpus = 17},
		{.memory = 64 * MiB, .nr_cpus = UINT32_MAX},
		{.memory = 64 * MiB, .nr_cpus = 1, .kvm = 4},
		{.memory = 64 * MiB, .nr_cpus = 1, .zero = 1},
	};
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err;

	(void)state;
	fixture_make(&buf, 1, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(buf.data + HEADER + SECTION, &bad[i], sizeof(bad[i]));
		state_end(&buf);
		assert_int_equal(parse(&buf, &shape, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "no machine has"));
	}
	free(buf.data);
}

static void device_names(void **state)
{
	static const char bad[][16] = {
		"", " x", "x\n", "x\0y", "fifteen-letters", "another", "caf\xc3\xa9",
	};
	struct fixture_change c = {.tag = STATE_DEVICE, .grow = -6};
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct state_section s;
	u8 *name;

	(void)state;
	expect(&c, -EBADMSG, "without a name");
	fixture_make(&buf, 1, NULL);
	assert_true(state_find(buf.data, buf.size, STATE_DEVICE, 0, &s));
	name = buf.data + ((const u8 *)s.data - buf.data);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bool good = i == 4;

		memcpy(name, bad[i], 16);
		state_end(&buf);
		assert_int_equal(parse(&buf, &shape, NULL), good ? 0 : -EBADMSG);
	}
	memset(name, 'x', 16); /* without an end */
	state_end(&buf);
	assert_int_equal(parse(&buf, &shape, NULL), -EBADMSG);
	free(buf.data);
}

static void later_versions_are_named(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err;

	(void)state;
	fixture_make(&buf, 1, NULL);
	buf.data[VERSION_AT] = STATE_VERSION + 1;
	assert_int_equal(parse(&buf, &shape, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "state: version 2 is not known here (update quire)");
	buf.data[VERSION_AT] = 0;
	assert_int_equal(parse(&buf, &shape, &err), -EBADMSG);
	buf.data[VERSION_AT] = STATE_VERSION;
	buf.data[SIZE_AT]++;
	assert_int_equal(parse(&buf, &shape, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "cut off"));
	free(buf.data);
}

/* ---- The first version's file ---- */

static void write_golden(const struct state_buf *buf)
{
	FILE *f = fopen(GOLDEN, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(buf->data, 1, buf->size, f), buf->size);
	assert_int_equal(fclose(f), 0);
}

static struct state_buf read_golden(void)
{
	struct state_buf buf = {.room = 64 * 1024};
	FILE *f = fopen(GOLDEN, "r");

	assert_non_null(f);
	buf.data = malloc(buf.room);
	buf.size = (u32)fread(buf.data, 1, buf.room, f);
	fclose(f);
	return buf;
}

static void check_plain(const struct state_buf *buf, u32 tag, u32 instance, u32 size, u32 from)
{
	struct state_section s;

	assert_true(state_find(buf->data, buf->size, tag, instance, &s));
	assert_int_equal(s.size, size);
	assert_int_equal(s.version, 1);
	for (u32 k = from; k < size; k++)
		assert_int_equal(((const u8 *)s.data)[k], fixture_byte(tag, instance, k));
}

/* Sizes as numbers: they are what the file has, whatever the kernel's headers say one day. */
static void the_first_version_is_read(void **state)
{
	struct state_buf now = {NULL, 0, 0}, buf;
	struct state_shape shape;

	(void)state;
	fixture_make(&now, 1, NULL);
	if (getenv("QUIRE_WRITE_GOLDEN"))
		write_golden(&now);
	buf = read_golden();
	assert_int_equal(parse(&buf, &shape, NULL), 0);
	assert_int_equal(shape.nr_cpus, 1);
	assert_int_equal(shape.memory, 67108864);
	assert_int_equal(shape.wall_ns, 1700000000123456789);
	assert_int_equal(shape.tsc_khz, 2500000);
	assert_int_equal(shape.kvm, 1);
	assert_int_equal(shape.cpuid->nent, 3);
	assert_int_equal(shape.cpuid->entries[1].ebx, 0x2001);
	check_plain(&buf, STATE_TAG('R', 'E', 'G', 'S'), 0, 144, 0);
	check_plain(&buf, STATE_TAG('S', 'R', 'E', 'G'), 0, 312, 0);
	check_plain(&buf, STATE_TAG('X', 'S', 'A', 'V'), 0, 4096, 0);
	check_plain(&buf, STATE_TAG('X', 'C', 'R', 'S'), 0, 392, 0);
	check_plain(&buf, STATE_TAG('D', 'B', 'G', 'R'), 0, 128, 0);
	check_plain(&buf, STATE_TAG('L', 'A', 'P', 'I'), 0, 1024, 0);
	check_plain(&buf, STATE_TAG('E', 'V', 'N', 'T'), 0, 64, 0);
	check_plain(&buf, STATE_TAG('M', 'P', 'S', 'T'), 0, 4, 0);
	check_plain(&buf, STATE_TAG('I', 'R', 'Q', 'C'), 2, 520, 0);
	check_plain(&buf, STATE_TAG('P', 'I', 'T', '2'), 0, 112, 0);
	check_plain(&buf, STATE_TAG('C', 'L', 'C', 'K'), 0, 48, 0);
	check_plain(&buf, STATE_TAG('D', 'E', 'V', ' '), 3, 24, 16);
	free(buf.data);
	free(now.data);
}

static void the_writer_is_the_same(void **state)
{
	struct state_buf now = {NULL, 0, 0}, buf = read_golden();

	(void)state;
	fixture_make(&now, 1, NULL);
	assert_int_equal(now.size, buf.size);
	assert_memory_equal(now.data, buf.data, buf.size);
	free(now.data);
	free(buf.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_come_back),
		cmocka_unit_test(a_whole_one_is_taken),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(any_bit_flipped),
		cmocka_unit_test(each_section_counts),
		cmocka_unit_test(counts_that_lie),
		cmocka_unit_test(unknown_sections),
		cmocka_unit_test(extra_instances),
		cmocka_unit_test(too_many_sections),
		cmocka_unit_test(gaps_are_zeros),
		cmocka_unit_test(machines_that_cannot_be),
		cmocka_unit_test(device_names),
		cmocka_unit_test(later_versions_are_named),
		cmocka_unit_test(the_first_version_is_read),
		cmocka_unit_test(the_writer_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
