// SPDX-License-Identifier: Apache-2.0
/*
 * Tables found by what they stand for: a hash by the guest's frame alone. A frame's flags say in
 * one look whether it has a shadow; the hash says which. Contracts in impl.h.
 */
#include "mm/shadow/impl.h"

static u32 *bucket(const struct shadow *s, u64 frame)
{
	return &s->buckets[frame * 0x9e3779b97f4a7c15u >> s->hash_shift];
}

u32 shadow_next_of(const struct shadow *s, u64 frame, u32 *at)
{
	u32 page = *at ? s->page[*at - 1].hash_next : *bucket(s, frame);

	for (; page; page = s->page[page - 1].hash_next) {
		const struct shadow_page *p = &s->page[page - 1];

		if (p->key.frame == frame && !p->key.direct && !p->dormant)
			break;
	}
	*at = page;
	return page - 1;
}

u32 shadow_find(const struct shadow *s, const struct shadow_key *key)
{
	for (u32 page = *bucket(s, key->frame); page; page = s->page[page - 1].hash_next) {
		const struct shadow_key *k = &s->page[page - 1].key;

		if (k->frame == key->frame && k->level == key->level && k->view == key->view &&
		    k->direct == key->direct)
			return page - 1;
	}
	return INDEX_NONE;
}

void shadow_hash_insert(struct shadow *s, u32 page)
{
	u32 *head = bucket(s, s->page[page].key.frame);

	s->page[page].hash_next = *head;
	*head = page + 1;
}

void shadow_hash_remove(struct shadow *s, u32 page)
{
	u32 *at = bucket(s, s->page[page].key.frame);

	while (*at != page + 1) {
		ASSERT(*at);
		at = &s->page[*at - 1].hash_next;
	}
	*at = s->page[page].hash_next;
}
