// SPDX-License-Identifier: Apache-2.0
/* Checksums: both sets of instructions say the same, and what the format's own tool says. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "mm/codec/sum_impl.h"

/* What `printf quire | xxhsum -H3` prints, and of nothing at all. */
static void test_known(void **state)
{
	(void)state;
	assert_int_equal(sum_bytes("", 0, 0), 0x2d06800538d394c2);
	assert_int_equal(sum_bytes("quire", 5, 0), 0x9ba9c72dbd0ad0ec);
}

/* Every length around the boundaries of the algorithm, at every alignment to 8 bytes. */
static void test_bytes_agree(void **state)
{
	u8 data[2200];

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (u8)rand();
	for (u32 size = 0; size <= sizeof(data) - 8; size++) {
		const u8 *at = data + size % 8;
		u64 seed = size % 3 ? (u64)rand() << 32 | size : 0;

		assert_int_equal(bytes_sum(at, size, seed), sum_bytes_avx2(at, size, seed));
		assert_int_equal(bytes_sum(at, size, seed), sum_bytes(at, size, seed));
	}
}

static void test_pages_agree(void **state)
{
	_Alignas(64) u8 page[PAGE_SIZE];

	(void)state;
	if (!__builtin_cpu_supports("avx2"))
		skip();
	for (u32 round = 0; round < 200; round++) {
		struct sum128 plain, avx2;

		for (u32 i = 0; i < PAGE_SIZE; i++)
			page[i] = (u8)(rand() >> 4);
		plain = page_sum(page);
		avx2 = sum_page_avx2(page);
		assert_memory_equal(&plain, &avx2, sizeof(plain));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_bytes_agree),
		cmocka_unit_test(test_pages_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
