// SPDX-License-Identifier: Apache-2.0
/*
 * The human view of `quire stats`, and of events. Contract in memory_view.h.
 *
 * What comes out of JSON goes through view_text(), view_size() or view_count() and no other way: a
 * missing member, or one of the wrong type, is then a dash or a 0 and never a crash or an escape
 * sequence.
 */
#include "vmm/cli/memory_view.h"

#include <ctype.h>
#include <stdlib.h>

#include "mm/engine/stats.h"

/* ---- Values out of JSON ---- */

const char *view_printable(const char *text)
{
	if (!text || !text[0])
		return "-";
	for (const char *c = text; *c; c++)
		if (!isascii(*c) || !isprint(*c))
			return "?";
	return text;
}

const char *view_text(const json_t *object, const char *key)
{
	return view_printable(json_string_value(json_object_get(object, key)));
}

struct view_size view_size(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);
	struct view_size text = {"-"};

	if (json_is_integer(n))
		snprintf(text.s, sizeof(text.s), "%.1f MiB",
			 (double)json_integer_value(n) / (double)MiB);
	return text;
}

u64 view_count(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (u64)n : 0;
}

static unsigned long long count(const json_t *object, const char *key)
{
	return view_count(object, key);
}

static double real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static double percent(const json_t *object, const char *key)
{
	return 100 * real(object, key);
}

struct view_size view_time(u64 ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	struct view_size text;
	double value = (double)ns;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text.s, sizeof(text.s), unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

static struct view_size time_at(const json_t *object, const char *key)
{
	return view_time(view_count(object, key));
}

/* ---- Lines ---- */

static void print_limit(const json_t *m, FILE *out)
{
	if (!view_count(m, "limit"))
		fprintf(out, "limit     none\n");
	else if (view_count(m, "limit-min"))
		fprintf(out, "limit     %s now, moving down to %s by fault frequency\n",
			view_size(m, "limit").s, view_size(m, "limit-min").s);
	else
		fprintf(out, "limit     %s\n", view_size(m, "limit").s);
	fprintf(out, "peak      %s\n", view_size(m, "peak").s);
	fprintf(out, "policy    %s\n", view_text(m, "policy"));
	fprintf(out, "engine    %s, descriptors %s\n",
		json_is_true(json_object_get(m, "armed")) ? "in charge" : "watching",
		view_size(m, "descriptors").s);
}

/* In the order of the states, those that have no page left out. */
static void print_pages(const json_t *m, FILE *out)
{
	const json_t *pages = json_object_get(m, "pages");

	fprintf(out, "pages    ");
	for (unsigned int i = 0; i < PAGE_NR_STATES; i++)
		if (view_count(pages, page_state_names[i]))
			fprintf(out, " %s %llu", page_state_names[i],
				count(pages, page_state_names[i]));
	fprintf(out, "; kept %llu\n", count(m, "kept"));
}

static void print_contents(const json_t *m, FILE *out)
{
	const json_t *c = json_object_get(m, "contents"), *swap = json_object_get(m, "swap");

	fprintf(out,
		"store     %llu pages at %.2f to 1: patterns %llu, shared %llu, blocks %llu, "
		"raw %llu, below %llu\n",
		count(c, "pages"), real(c, "ratio"), count(c, "patterns"), count(c, "shared"),
		count(c, "blocks"), count(c, "raw"), count(c, "below"));
	fprintf(out, "          pool %s for %s of payload, metadata %s\n",
		view_size(c, "pool-bytes").s, view_size(c, "payload-bytes").s,
		view_size(c, "metadata-bytes").s);
	if (!json_is_object(swap))
		return;
	fprintf(out,
		"swap      %llu objects in %s, %s used; %llu reads, %llu writes, %llu errors\n",
		count(swap, "objects"), view_size(swap, "object-bytes").s,
		view_size(swap, "used-bytes").s, count(swap, "reads"), count(swap, "writes"),
		count(swap, "errors"));
}

static void print_faults(const json_t *m, FILE *out)
{
	const json_t *faults = json_object_get(m, "faults");

	fprintf(out, "%-9s %12s %10s %10s %10s %10s\n", "faults", "COUNT", "MEAN", "P50", "P99",
		"MAX");
	for (unsigned int i = 0; i < MEM_NR_FAULT_KINDS; i++) {
		const json_t *f = json_object_get(faults, mem_fault_names[i]);

		fprintf(out, "  %-7s %12llu %10s %10s %10s %10s\n", mem_fault_names[i],
			count(f, "count"), time_at(f, "mean-ns").s, time_at(f, "p50-ns").s,
			time_at(f, "p99-ns").s, time_at(f, "max-ns").s);
	}
	fprintf(out, "          %llu pages brought in beside; %llu faults waited %s for room\n",
		count(m, "around"), count(m, "waited"), time_at(m, "waited-ns").s);
}

static void print_evictions(const json_t *m, FILE *out)
{
	fprintf(out, "evicted   %llu pages, %llu of them clean; rescued %llu, refused %llu\n",
		count(m, "evicted"), count(m, "evicted-clean"), count(m, "rescued"),
		count(m, "refused"));
}

/* How long pages in memory have not been used: those buckets that have any. */
static void print_ages(const json_t *m, FILE *out)
{
	const json_t *age;
	bool some = false;
	size_t i;

	json_array_foreach(json_object_get(m, "ages"), i, age)
	{
		if (!view_count(age, "pages"))
			continue;
		fprintf(out, "%s <%gs %llu", some ? "," : "idle     ",
			(double)view_count(age, "below-ms") / 1000, count(age, "pages"));
		some = true;
	}
	if (some)
		fprintf(out, " pages\n");
}

/* Faults a second that the guest would take with half of its memory. */
static double faults_at_half(const json_t *m)
{
	const json_t *point;
	double faults = 0;
	size_t i;

	json_array_foreach(json_object_get(m, "curve"), i, point)
	{
		faults = real(point, "faults");
		if (real(point, "memory") >= 0.4999)
			break;
	}
	return faults;
}

static void print_estimates(const json_t *m, FILE *out)
{
	const json_t *w = json_object_get(m, "working-set");

	if (view_count(w, "samples")) {
		fprintf(out,
			"in use    %.1f%% of memory within %g s (95%%: %.1f%% to %.1f%%, from %llu "
			"samples)\n",
			percent(w, "share"), (double)view_count(w, "window-ms") / 1000,
			percent(w, "low"), percent(w, "high"), count(w, "samples"));
		fprintf(out, "          %.0f faults a second at half this memory\n",
			faults_at_half(m));
	}
	fprintf(out, "promoted  %.2f%% of the working set a minute\n",
		percent(m, "promotion-rate"));
	fprintf(out, "stalled   %.2f%% of processor time, %llu faults a second%s\n",
		percent(m, "stall"), count(m, "faults-per-second"),
		json_is_true(json_object_get(m, "thrashing")) ? ": thrashing" : "");
}

void memory_view_print(const json_t *memory, FILE *out)
{
	print_limit(memory, out);
	print_pages(memory, out);
	print_contents(memory, out);
	print_faults(memory, out);
	print_evictions(memory, out);
	print_ages(memory, out);
	print_estimates(memory, out);
}

/* ---- Events ---- */

const char *memory_event_sentence(const struct mem_event *event, struct err *room)
{
	double limit = (double)event->limit / (double)MiB;

	switch (event->kind) {
	case MEM_EV_LIMIT:
		snprintf(room->text, sizeof(room->text),
			 "its limit of %.1f MiB leaves no room: a fault waits (raise it with quire "
			 "limit, or give it a swap file with room)",
			 limit);
		return room->text;
	case MEM_EV_THRASH:
		snprintf(room->text, sizeof(room->text),
			 "thrashing: %.0f%% of its time goes into %.0f faults a second (raise its "
			 "limit of %.1f MiB with quire limit)",
			 100 * event->stall, event->faults, limit);
		return room->text;
	case MEM_EV_SWAP_FULL:
		return "its swap file is full: what is pushed out stays in memory, compressed "
		       "(free space there, or raise the limit)";
	case MEM_EV_SWAP_ERROR:
		return "its swap file cannot be written: what is pushed out stays in memory, "
		       "compressed";
	case MEM_EV_TRACE_ERROR:
		return "its reference trace cannot be written and ends here (free space on that "
		       "disk)";
	case MEM_EV_ROOM:
	case MEM_EV_THRASH_OVER:
	case MEM_NR_EVENT_KINDS:
		break;
	}
	return NULL;
}
