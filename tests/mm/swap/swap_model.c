// SPDX-License-Identifier: Apache-2.0
/* What was written to a swap file, remembered. Contract in swap_model.h. */
#include "tests/mm/swap/swap_model.h"

#include <string.h>

u64 swap_next(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

void swap_fill(u8 *data, u32 size, u64 seed)
{
	u64 x = seed * 0x9e3779b97f4a7c15u | 1;

	for (u32 i = 0; i < size; i += 8) {
		u64 v = swap_next(&x);

		memcpy(data + i, &v, MIN(size - i, 8u));
	}
}

/* Raw pages, tiny things, and what compressed pages look like. */
static u32 some_size(u64 *seed)
{
	switch (swap_next(seed) % 8) {
	case 0:
		return 4096;
	case 1:
		return 1 + (u32)(swap_next(seed) % 16);
	default:
		return 200 + (u32)(swap_next(seed) % 3000);
	}
}

struct tier *swap_make(const char *path, u64 limit)
{
	struct swapfile_config cfg = {.path = path, .limit = limit};
	struct tier *tier = NULL;
	struct err err = {0};

	if (swapfile_create(&tier, &cfg, &err))
		fail_msg("%s", err.text);
	return tier;
}

struct tier_stats swap_stats(struct tier *tier)
{
	struct tier_stats s;

	tier->ops->stats(tier, &s);
	return s;
}

/* Write @n objects that are not written, with sizes from @seed (or all of @size). */
int swap_write(struct tier *tier, struct swap_object *objects, u32 n, u64 *seed, u32 size)
{
	static u8 data[256 * 4096];
	struct tier_object t[256];
	int ret;

	assert_true(n <= ARRAY_SIZE(t));
	for (u32 i = 0; i < n; i++) {
		objects[i].size = size ? size : some_size(seed);
		objects[i].seed = swap_next(seed);
		t[i] = (struct tier_object){.data = data + i * 4096, .size = objects[i].size};
		swap_fill(data + i * 4096, objects[i].size, objects[i].seed);
	}
	ret = tier->ops->write(tier, t, n);
	for (u32 i = 0; i < n && !ret; i++) {
		assert_true(t[i].place != 0);
		objects[i].place = t[i].place;
	}
	return ret;
}

int swap_read(struct tier *tier, const struct swap_object *o, bool *same)
{
	u8 got[4096 + 8], want[4096 + 8];
	int ret;

	memset(got, 0xa5, sizeof(got));
	memset(want, 0xa5, sizeof(want));
	swap_fill(want, o->size, o->seed);
	ret = tier->ops->read(tier, o->place, got, o->size);
	*same = !ret && !memcmp(got, want, sizeof(got));
	return ret;
}

void swap_check(struct tier *tier, const struct swap_object *objects, u32 n)
{
	bool same;

	for (u32 i = 0; i < n; i++)
		if (objects[i].place) {
			assert_int_equal(swap_read(tier, &objects[i], &same), 0);
			assert_true(same);
		}
}

void swap_release(struct tier *tier, struct swap_object *o)
{
	tier->ops->release(tier, o->place, o->size);
	o->place = 0;
}

void swap_release_all(struct tier *tier, struct swap_object *objects, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (objects[i].place)
			swap_release(tier, &objects[i]);
}

/* What the tier says of itself is what the model knows. */
void swap_check_counts(struct tier *tier, const struct swap_object *objects, u32 n)
{
	struct tier_stats s = swap_stats(tier);
	u64 live = 0, bytes = 0;

	for (u32 i = 0; i < n; i++)
		if (objects[i].place) {
			live++;
			bytes += objects[i].size;
		}
	assert_int_equal(s.objects, live);
	assert_int_equal(s.object_bytes, bytes);
	assert_true(s.used_bytes >= bytes);
	assert_int_equal(!s.used_bytes, !live);
}
