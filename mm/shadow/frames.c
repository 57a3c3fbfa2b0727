// SPDX-License-Identifier: Apache-2.0
/*
 * What the monitor knows and says of the guest's frames: which are tables, and that one is none any
 * more. Contract in shadow.h.
 */
#include "mm/shadow/impl.h"

#include <string.h>

void shadow_note_table(struct shadow *s, u64 frame)
{
	if (frame < s->cfg.guest.nr_frames)
		s->flags[frame] |= FRAME_KNOWN;
}

void shadow_forget_table(struct shadow *s, u64 frame)
{
	if (frame >= s->cfg.guest.nr_frames)
		return;
	shadow_drop_frame(s, frame);
	if (s->flags[frame] & FRAME_EXCESS)
		shadow_protect_frame(s, frame);
	s->flags[frame] = 0;
}

void shadow_data_written(struct shadow *s, u64 frame)
{
	if (frame < s->cfg.guest.nr_frames && shadow_in_step(s, frame))
		shadow_forget_table(s, frame);
}

u32 shadow_table_level(const struct shadow *s, u64 frame, bool *synced)
{
	u32 at = 0, page, level = 0;

	if (synced)
		*synced = true;
	if (frame >= s->cfg.guest.nr_frames)
		return 0;
	while ((page = shadow_next_of(s, frame, &at)) != INDEX_NONE) {
		level = MAX(level, s->page[page].key.level);
		if (synced && index_is_listed(s->loose_links, page))
			*synced = false;
	}
	return level;
}

/* Most frames are none: eight at a time. */
bool shadow_next_table(const struct shadow *s, u64 *frame)
{
	const u64 known = FRAME_KNOWN * 0x0101010101010101u;
	u64 at = *frame, nr = s->cfg.guest.nr_frames, eight;

	while (at < nr && !(s->flags[at] & FRAME_KNOWN)) {
		u64 step = 1;

		if (nr - at >= sizeof(eight)) {
			memcpy(&eight, &s->flags[at], sizeof(eight));
			step = eight & known ? 1 : sizeof(eight);
		}
		at += step;
	}
	*frame = at;
	return at < nr;
}

void shadow_drop_all(struct shadow *s)
{
	while (s->lru.nr)
		shadow_drop(s, index_first(&s->lru));
	for (u32 page = SHADOW_EMPTY_ROOT + 1; page < s->fresh; page++) {
		if (s->page[page].users)
			shadow_drop(s, page);
	}
}

void shadow_forget_all(struct shadow *s)
{
	shadow_drop_all(s);
	memset(s->flags, 0, s->cfg.guest.nr_frames);
}
