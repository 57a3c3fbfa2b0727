// SPDX-License-Identifier: Apache-2.0
/*
 * Segmentation against a model that asks of each byte of an access whether it may be had: every
 * type, limits and offsets around their edges, all sizes of access. And the examples of the manuals
 * word by word.
 */
#include "tests/lib/test.h"

#include "mm/x86/segment.h"

static const struct segment flat = {
	.limit = 0xffffffff,
	.type = SEGMENT_TYPE_WRITABLE,
	.usable = true,
	.wide = true,
};

/* Whether the byte at @offset is in the segment; it is not asked beyond 4 GiB. */
static bool byte_allowed(const struct segment *s, enum segment_mode mode, u64 offset)
{
	if (mode == SEGMENT_PROTECTED && (s->type >> 2 & 3) == 1)
		return offset > s->limit && offset <= (s->wide ? 0xffffffff : 0xffff);
	return offset <= s->limit;
}

static bool model(const struct segment *s, const struct segment_access *a, u32 offset)
{
	/* indexed by the type's upper and lower bits: read, write, fetch */
	static const char *const rights[16] = {"r", "r", "rw", "rw", "r", "r", "rw", "rw",
					       "x", "x", "rx", "rx", "x", "x", "rx", "rx"};
	static const char letters[] = {'r', 'w', 'x'};
	bool allowed = a->mode == SEGMENT_REAL;

	for (const char *c = rights[s->type]; *c && s->usable; c++)
		allowed |= *c == letters[a->kind];
	for (u64 at = offset; at < (u64)offset + a->size && allowed; at++)
		allowed = at > 0xffffffff || byte_allowed(s, a->mode, at);
	return allowed;
}

static void check_one(const struct segment *s, const struct segment_access *a, u32 offset)
{
	u64 linear;
	enum segment_outcome got = segment_linear(s, a, (u64)0xabcd << 32 | offset, &linear);
	enum segment_outcome fault = a->name == SEGMENT_SS ? SEGMENT_STACK_FAULT : SEGMENT_GP_FAULT;

	if (got != (model(s, a, offset) ? SEGMENT_DONE : fault))
		fail_msg("mode %d segment %d kind %d size %u: base 0x%lx limit 0x%x type %x usable "
			 "%d wide %d, offset 0x%x: %d",
			 a->mode, a->name, a->kind, a->size, s->base, s->limit, s->type, s->usable,
			 s->wide, offset, got);
	assert_int_equal(linear, (u32)(s->base + offset));
}

static void check_offsets(const struct segment *s, struct segment_access *a)
{
	static const u32 near[] = {0, 1, 2, 7, 8, 9};
	const u32 edges[] = {0, s->limit, 0xffff, 0xfffffff8};

	for (a->size = 1; a->size <= 8; a->size *= 2)
		for (u32 e = 0; e < ARRAY_SIZE(edges); e++)
			for (u32 i = 0; i < ARRAY_SIZE(near); i++) {
				check_one(s, a, edges[e] + near[i]);
				check_one(s, a, edges[e] - near[i]);
			}
}

static void test_model(void **state)
{
	static const u32 limits[] = {0, 1, 0xfff, 0xffff, 0x10000, 0xfffff, 0xfffffffe, 0xffffffff};

	(void)state;
	for (u32 bits = 0; bits < 16 * 4 * 2 * SEGMENT_NR; bits++) {
		struct segment s = {
			.base = bits % 3 * 0x7fffabcd,
			.type = bits & 15,
			.usable = bits >> 4 & 1,
			.wide = bits >> 5 & 1,
		};
		struct segment_access a = {
			.mode = bits >> 6 & 1 ? SEGMENT_PROTECTED : SEGMENT_REAL,
			.name = (enum segment_name)(bits >> 7),
		};

		for (u32 l = 0; l < ARRAY_SIZE(limits); l++) {
			s.limit = limits[l];
			for (u32 kind = PTWALK_READ; kind <= PTWALK_FETCH; kind++) {
				a.kind = (enum ptwalk_kind)kind;
				check_offsets(&s, &a);
			}
		}
	}
}

static void expect(const struct segment *s, const struct segment_access *a, u64 offset,
		   enum segment_outcome outcome, u64 linear)
{
	u64 got;

	assert_int_equal(segment_linear(s, a, offset, &got), outcome);
	assert_int_equal(got, linear);
}

/* In 64-bit mode bases are those of FS and GS alone, and neither limits nor types count. */
static void test_64_bit(void **state)
{
	struct segment s = {.base = 0xffff888000001000, .limit = 0, .usable = false};
	struct segment_access a = {.mode = SEGMENT_64_BIT, .size = 1, .linear_bits = 48};

	(void)state;
	for (u32 name = SEGMENT_ES; name < SEGMENT_NR; name++) {
		bool based = name >= SEGMENT_FS;

		a.name = (enum segment_name)name;
		a.kind = PTWALK_WRITE;
		expect(&s, &a, 0x10, SEGMENT_DONE, based ? 0xffff888000001010 : 0x10);
		/* to the other half, and back */
		if (based)
			expect(&s, &a, 0x77800000f000, SEGMENT_DONE, 0x10000);
	}
}

static void test_canonical(void **state)
{
	struct segment_access a = {.mode = SEGMENT_64_BIT, .size = 8, .linear_bits = 48};

	(void)state;
	a.name = SEGMENT_DS;
	expect(&flat, &a, 0x00007ffffffffff8, SEGMENT_DONE, 0x00007ffffffffff8);
	expect(&flat, &a, 0x00007ffffffffff9, SEGMENT_GP_FAULT, 0x00007ffffffffff9);
	expect(&flat, &a, 0x0000800000000000, SEGMENT_GP_FAULT, 0x0000800000000000);
	expect(&flat, &a, 0xffff7fffffffffff, SEGMENT_GP_FAULT, 0xffff7fffffffffff);
	expect(&flat, &a, 0xffff800000000000, SEGMENT_DONE, 0xffff800000000000);
	expect(&flat, &a, 0xfffffffffffffff8, SEGMENT_DONE, 0xfffffffffffffff8);
	expect(&flat, &a, 0xfffffffffffffff9, SEGMENT_GP_FAULT, 0xfffffffffffffff9);
	a.name = SEGMENT_SS;
	expect(&flat, &a, 0x0000800000000000, SEGMENT_STACK_FAULT, 0x0000800000000000);
	a.linear_bits = 57;
	expect(&flat, &a, 0x0000800000000000, SEGMENT_DONE, 0x0000800000000000);
	expect(&flat, &a, 0x0100000000000000, SEGMENT_STACK_FAULT, 0x0100000000000000);
}

/* A stack of 8 KiB that ends at 0xffff, and one that ends at 4 GiB. */
static void test_expand_down(void **state)
{
	struct segment s = {
		.limit = 0xdfff,
		.type = SEGMENT_TYPE_WRITABLE | SEGMENT_TYPE_EXPAND_DOWN,
		.usable = true,
	};
	struct segment_access a = {
		.mode = SEGMENT_PROTECTED, .name = SEGMENT_SS, .kind = PTWALK_WRITE, .size = 4};

	(void)state;
	expect(&s, &a, 0xdfff, SEGMENT_STACK_FAULT, 0xdfff);
	expect(&s, &a, 0xe000, SEGMENT_DONE, 0xe000);
	expect(&s, &a, 0xfffc, SEGMENT_DONE, 0xfffc);
	expect(&s, &a, 0xfffd, SEGMENT_STACK_FAULT, 0xfffd);
	s.wide = true;
	expect(&s, &a, 0xfffd, SEGMENT_DONE, 0xfffd);
	expect(&s, &a, 0xfffffffe, SEGMENT_DONE, 0xfffffffe);
}

/* FFFF:0010 is above a megabyte; what a program calls 20 bits is the bus's matter. */
static void test_real(void **state)
{
	struct segment s = {.base = 0xffff0, .limit = 0xffff, .usable = true};
	struct segment_access a = {
		.mode = SEGMENT_REAL, .name = SEGMENT_CS, .kind = PTWALK_WRITE, .size = 2};

	(void)state;
	expect(&s, &a, 0x10, SEGMENT_DONE, 0x100000);
	expect(&s, &a, 0xffff, SEGMENT_GP_FAULT, 0x10ffef);
	a.size = 1;
	expect(&s, &a, 0xffff, SEGMENT_DONE, 0x10ffef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),	  cmocka_unit_test(test_64_bit),
		cmocka_unit_test(test_canonical), cmocka_unit_test(test_expand_down),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
