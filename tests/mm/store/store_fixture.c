// SPDX-License-Identifier: Apache-2.0
/* What tests of the store share. Contract in store_fixture.h. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/work/random.h"
#include "tests/mm/store/store_fixture.h"

/* ---- A tier in memory ---- */

static struct fake_tier *fake_of(struct tier *tier)
{
	return container_of(tier, struct fake_tier, tier);
}

static tier_place fake_add(struct fake_tier *f, const void *data, u32 size)
{
	u32 at = f->next;

	while (f->object[at])
		at = (at + 1) % FAKE_PLACES;
	f->next = (at + 1) % FAKE_PLACES;
	f->object[at] = malloc(size);
	assert_non_null(f->object[at]);
	memcpy(f->object[at], data, size);
	f->size[at] = size;
	f->live++;
	f->bytes += size;
	return (u64)0x123456 << 32 | (at + 1); /* both halves of a place matter */
}

static int fake_write(struct tier *tier, struct tier_object *objects, u32 n)
{
	struct fake_tier *f = fake_of(tier);

	if (f->during_write)
		f->during_write(f->opaque);
	assert_true(n > 0);
	if (f->write_error) {
		for (u32 i = 0; i < n; i++)
			objects[i].place = 77; /* means nothing after a failure */
		return f->write_error;
	}
	pthread_mutex_lock(&f->lock);
	for (u32 i = 0; i < n; i++) {
		assert_in_range(objects[i].size, 1, PAGE_SIZE);
		objects[i].place = fake_add(f, objects[i].data, objects[i].size);
	}
	f->groups++;
	f->largest = MAX(f->largest, n);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static u32 fake_at(struct fake_tier *f, tier_place place, u32 size)
{
	u32 at = (u32)place - 1;

	assert_int_equal(place >> 32, 0x123456);
	assert_true(at < FAKE_PLACES && f->object[at]);
	assert_int_equal(f->size[at], size);
	return at;
}

static int fake_read(struct tier *tier, tier_place place, void *data, u32 size)
{
	struct fake_tier *f = fake_of(tier);

	if (f->read_error)
		return f->read_error;
	pthread_mutex_lock(&f->lock);
	memcpy(data, f->object[fake_at(f, place, size)], size);
	pthread_mutex_unlock(&f->lock);
	if (f->flip)
		((u8 *)data)[size - 1] ^= 4;
	return 0;
}

static void fake_release(struct tier *tier, tier_place place, u32 size)
{
	struct fake_tier *f = fake_of(tier);
	u32 at;

	pthread_mutex_lock(&f->lock);
	at = fake_at(f, place, size);
	free(f->object[at]);
	f->object[at] = NULL;
	f->live--;
	f->bytes -= size;
	pthread_mutex_unlock(&f->lock);
}

static const struct tier_ops fake_ops = {
	.name = "fake",
	.write = fake_write,
	.read = fake_read,
	.release = fake_release,
};

static struct fake_tier *fake_new(void)
{
	struct fake_tier *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->tier.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

/* ---- Pages ---- */

void make_page(u64 *words, u64 number)
{
	u64 roll = random_mix(number),
	    end = roll % 8 == 1 ? PAGE_WORDS : (roll >> 8) % (PAGE_WORDS - 80);

	if (roll % 8 == 0)
		end = 0;
	for (u64 i = 0; i < PAGE_WORDS; i++)
		words[i] = i < end ? random_of(number, i) : number % 3;
	if (end == PAGE_WORDS)
		words[PAGE_WORDS - 1] = number;
}

struct fixture *fixture_new(bool tier, u32 threshold, bool refuse_raw)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_config cfg = {.threshold = threshold, .refuse_raw = refuse_raw};

	assert_non_null(f);
	f->fake = fake_new();
	if (tier)
		cfg.tier = &f->fake->tier;
	assert_int_equal(store_create(&f->store, &cfg, NULL), 0);
	return f;
}

void fixture_free(struct fixture *f)
{
	struct store_stats s;

	store_audit(f->store);
	store_get_stats(f->store, &s);
	assert_int_equal(s.pages, 0);
	assert_int_equal(s.blocks + s.raw + s.tier_entries + s.payload_bytes + s.tier_bytes, 0);
	assert_int_equal(s.pool_bytes, 0);
	assert_int_equal(f->fake->live, 0);
	store_destroy(f->store);
	free(f->fake);
	free(f);
}

store_id fixture_put(struct fixture *f, u64 number)
{
	store_id id = STORE_NONE;

	make_page(f->page, number);
	assert_int_equal(store_put(f->store, f->page, &id), 0);
	assert_int_not_equal(id, STORE_NONE);
	return id;
}

void fixture_get(struct fixture *f, store_id id, u64 number)
{
	make_page(f->page, number);
	memset(f->back, 0xa5, sizeof(f->back));
	assert_int_equal(store_get(f->store, id, f->back), 0);
	assert_memory_equal(f->page, f->back, PAGE_SIZE);
}

struct codec_block fixture_export(struct fixture *f, store_id id, u64 number)
{
	struct codec_sum sum = {{0}};
	struct codec_block block;
	u8 room[PAGE_SIZE];

	memset(room, 0xa5, sizeof(room));
	assert_int_equal(store_export(f->store, id, &block, room), 0);
	for (u32 i = block.size; i < PAGE_SIZE; i++)
		assert_int_equal(room[i], 0xa5);
	assert_int_equal(codec_open(&block, f->back), 0);
	block.data = NULL; /* it goes with the room */
	make_page(f->page, number);
	assert_memory_equal(f->page, f->back, PAGE_SIZE);
	if (block.kind != CODEC_PATTERN)
		sum = codec_sum(f->page);
	assert_true(codec_sum_equal(&sum, &block.sum));
	return block;
}

u64 number_of(u64 kind, u64 n)
{
	for (u64 number = 1;; number++) {
		u64 roll = random_mix(number) % 8;

		if ((roll < 2 ? roll : 2) == kind && !n--)
			return number;
	}
}
