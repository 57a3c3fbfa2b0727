// SPDX-License-Identifier: Apache-2.0
/*
 * A translation as JSON: its steps from the root on, each with its second step, and what a TLB miss
 * costs; and the address that a client asks about. Contract in translate_json.h. No state: a
 * function of what it is given.
 */
#include "vmm/control/translate_json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const translate_kind_names[TRANSLATE_NR_KINDS] = {
	[PTWALK_READ] = "read",
	[PTWALK_WRITE] = "write",
	[PTWALK_FETCH] = "fetch",
};

static const char *const paging_names[] = {
	[PTWALK_OFF] = "off",	      [PTWALK_32_BIT] = "32-bit",   [PTWALK_PAE] = "PAE",
	[PTWALK_4_LEVEL] = "4-level", [PTWALK_5_LEVEL] = "5-level",
};

static const char *const outcome_names[] = {
	[PTWALK_DONE] = "mapped",
	[PTWALK_FAULT] = "page-fault",
	[PTWALK_NOT_CANONICAL] = "not-canonical",
	[PTWALK_NO_MEMORY] = "no-memory",
	[PTWALK_RACED] = "raced",
};

static const char *const level_names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};

static const char *const segment_names[SEGMENT_NR] = {
	[SEGMENT_ES] = "es", [SEGMENT_CS] = "cs", [SEGMENT_SS] = "ss",
	[SEGMENT_DS] = "ds", [SEGMENT_FS] = "fs", [SEGMENT_GS] = "gs",
};

static int parse_number(const char *text, u64 *address)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	char *end;

	/* strtoull() takes blanks, signs and another 0x before the first digit */
	if (!isxdigit((unsigned char)digits[0]) ||
	    (hex && tolower((unsigned char)digits[1]) == 'x'))
		return -EINVAL;
	errno = 0;
	*address = strtoull(digits, &end, hex ? 16 : 10);
	return errno || *end || end == digits ? -EINVAL : 0;
}

int translate_parse_address(const char *text, struct translate_order *order)
{
	const char *colon = strchr(text, ':');

	order->segmented = colon;
	if (!colon)
		return parse_number(text, &order->address);
	for (u32 i = 0; i < SEGMENT_NR; i++) {
		order->segment = (enum segment_name)i;
		if (colon - text == 2 && !strncasecmp(text, segment_names[i], 2))
			return parse_number(colon + 1, &order->address);
	}
	return -EINVAL;
}

/* ---- Words ---- */

static json_t *hex(u64 v)
{
	return json_sprintf("0x%llx", (unsigned long long)v);
}

static json_t *number(u64 n)
{
	return json_integer((json_int_t)MIN(n, (u64)INT64_MAX));
}

struct flag {
	u64 bit;
	const char *letters;
};

/* The letters of the bits that are set, with blanks between; "-" if none is. */
static json_t *letters(u64 entry, const struct flag *flags, size_t n)
{
	char text[64] = "";

	for (size_t i = 0; i < n; i++) {
		if (!(entry & flags[i].bit))
			continue;
		if (text[0])
			strcat(text, " ");
		strcat(text, flags[i].letters);
	}
	return json_string(text[0] ? text : "-");
}

/* Bits that mean something else at this level, or nothing, are left out. */
static json_t *guest_flags(enum ptwalk_paging paging, const struct ptwalk_step *step)
{
	static const struct flag flags[] = {
		{PTWALK_PRESENT, "P"},	{PTWALK_WRITABLE, "W"}, {PTWALK_USER, "U"},
		{PTWALK_ACCESSED, "A"}, {PTWALK_DIRTY, "D"},	{PTWALK_LARGE, "PS"},
		{PTWALK_GLOBAL, "G"},	{PTWALK_NX, "NX"},
	};
	bool large = step->level > 1 && (step->entry & PTWALK_LARGE);
	u64 entry = step->entry;

	if (!(entry & PTWALK_PRESENT))
		entry = 0;
	if (paging == PTWALK_PAE && step->level == 3)
		entry &= PTWALK_PRESENT;
	if (step->level == 1)
		entry &= ~PTWALK_LARGE;
	else if (!large)
		entry &= ~(PTWALK_DIRTY | PTWALK_GLOBAL);
	return letters(entry, flags, ARRAY_SIZE(flags));
}

/* ---- The second step ---- */

static json_t *second_flags(u64 entry)
{
	static const struct flag flags[] = {
		{NESTED_READ, "R"},	{NESTED_WRITE, "W"}, {NESTED_EXECUTE, "X"},
		{NESTED_ACCESSED, "A"}, {NESTED_DIRTY, "D"}, {NESTED_LARGE, "PS"},
	};

	return letters(entry, flags, ARRAY_SIZE(flags));
}

static json_t *entries_json(const struct nested_walk *w)
{
	json_t *entries = json_array();

	for (u32 i = 0; i < w->nr_steps; i++) {
		const struct nested_step *s = &w->steps[i];

		json_array_append_new(entries, json_pack("{s:s, s:i, s:o, s:o}", "level",
							 level_names[s->level], "index",
							 (int)s->index, "entry", hex(s->entry),
							 "flags", second_flags(s->entry)));
	}
	return entries;
}

/* "entry" is that of the page itself; null: the way ends above it. */
static json_t *second_json(const struct nested_walk *w)
{
	const struct nested_step *last = w->nr_steps ? &w->steps[w->nr_steps - 1] : NULL;
	bool whole = last && w->kind != NESTED_HOLE;

	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "state", nested_state_name(w),
			 "in-origin", w->page.in_origin, "size", number((u64)1 << w->shift),
			 "machine", w->kind == NESTED_HOLE ? json_null() : hex(w->machine.v),
			 "entry", whole ? hex(last->entry) : json_null(), "flags",
			 second_flags(whole ? last->entry : 0), "entries", entries_json(w));
}

/* ---- The guest's step ---- */

static json_t *steps_json(const struct translation *t)
{
	json_t *steps = json_array();

	for (u32 i = 0; i < t->walk.nr_steps; i++) {
		const struct translation_step *s = &t->steps[i];
		bool read = t->outcome != PTWALK_NO_MEMORY || i < t->walk.nr_steps - 1;

		json_array_append_new(steps,
				      json_pack("{s:s, s:i, s:o, s:o, s:o, s:o*, s:o}", "level",
						level_names[s->guest.level], "index", (int)s->index,
						"at", hex(s->guest.at.v), "entry",
						read ? hex(s->guest.entry) : json_null(), "flags",
						guest_flags(t->paging, &s->guest), "shadow",
						s->has_shadow ? hex(s->shadow) : NULL, "second",
						second_json(&s->second)));
	}
	return steps;
}

static json_t *page_json(const struct translation *t)
{
	const struct ptwalk_result *r = &t->walk;

	if (t->outcome != PTWALK_DONE)
		return json_null();
	return json_pack("{s:o, s:o, s:b, s:b, s:b, s:o}", "at", hex(r->at.v), "size",
			 number((u64)1 << r->shift), "writable", r->writable, "user", r->user,
			 "executable", r->executable, "second", second_json(&t->page));
}

static const char *cause(u32 error)
{
	if (error & PTWALK_ERROR_RESERVED)
		return "a reserved bit is set";
	if (error & PTWALK_ERROR_KEY)
		return "the protection key forbids it";
	return error & PTWALK_ERROR_PRESENT ? "not allowed" : "not present";
}

static json_t *fault_json(const struct translation *t)
{
	const struct ptwalk_access *a = &t->order.access;
	json_t *words;

	if (t->outcome != PTWALK_FAULT)
		return json_null();
	words = json_sprintf("%s by %s: %s", translate_kind_names[a->kind],
			     a->by == PTWALK_BY_USER ? "user" : "supervisor", cause(t->walk.error));
	return json_pack("{s:i, s:o}", "code", (int)t->walk.error, "words", words);
}

/* ---- The whole ---- */

static json_t *cost_json(const struct translation *t)
{
	if (t->outcome != PTWALK_DONE)
		return json_null();
	return json_pack("{s:i, s:i, s:i, s:i}", "references", (int)t->references, "guest-levels",
			 (int)t->guest_levels, "host-levels", (int)t->host_levels, "shadow-levels",
			 (int)t->shadow_levels);
}

static json_t *count_json(const struct nested_count *c)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "present", number(c->present), "writable",
			 number(c->writable), "accessed", number(c->accessed), "dirty",
			 number(c->dirty));
}

/* "kvm" is as in x-quire-stats: null where it does not tell. */
static json_t *map_json(const struct translation *t)
{
	json_t *kvm = json_null();

	if (t->has_kvm)
		kvm = json_pack("{s:o, s:o, s:o}", "4K", number(t->kvm.pages_4k), "2M",
				number(t->kvm.pages_2m), "1G", number(t->kvm.pages_1g));
	return json_pack("{s:o, s:o, s:o}", "4K", count_json(&t->map[NESTED_4K]), "2M",
			 count_json(&t->map[NESTED_2M]), "kvm", kvm);
}

/* Of a guest on shadow tables. */
static const char *view_name(const struct translation *t)
{
	return !t->shadowed ? NULL : t->user ? "process" : "kernel";
}

static json_t *segment_json(const struct translation *t)
{
	if (!t->order.segmented)
		return NULL;
	return json_pack("{s:s, s:o, s:o, s:o}", "name", segment_names[t->order.segment], "base",
			 hex(t->segment.base), "limit", hex(t->segment.limit), "offset",
			 hex(t->order.address));
}

static const char *outcome_name(const struct translation *t)
{
	switch (t->segment_outcome) {
	case SEGMENT_GP_FAULT:
		return "general-protection";
	case SEGMENT_STACK_FAULT:
		return "stack-fault";
	case SEGMENT_DONE:
		break;
	}
	return outcome_names[t->outcome];
}

json_t *translate_json(const struct translation *t)
{
	const struct translate_order *order = &t->order;

	return json_pack(
		"{s:o, s:o*, s:s*, s:o, s:s, s:b, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
		"address", hex(t->linear), "segment", segment_json(t), "view", view_name(t), "cpu",
		number(order->cpu), "access", translate_kind_names[order->access.kind], "user",
		order->access.by == PTWALK_BY_USER, "paging", paging_names[t->paging], "outcome",
		outcome_name(t), "second-step", t->host_paging, "steps", steps_json(t), "page",
		page_json(t), "fault", fault_json(t), "cost", cost_json(t), "map", map_json(t));
}
