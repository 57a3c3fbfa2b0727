// SPDX-License-Identifier: Apache-2.0
/*
 * A plan for people: a row for each way, the choice marked. Contract in plan_view.h. It is told by
 * a guest's process and not trusted: text and numbers come by way of memory_view.h.
 */
#include "vmm/cli/plan_view.h"

#include <string.h>

#include "vmm/cli/memory_view.h"

static bool says(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static double ms(const json_t *object, const char *key)
{
	return (double)view_count(object, key) / 1e3;
}

static double real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void print_verdict(const char *way, const json_t *p, FILE *out)
{
	unsigned long long throttle = view_count(p, "throttle");

	if (throttle >= 100)
		fprintf(out, "does not come to an end");
	else if (!says(p, "keeps-limit"))
		fprintf(out, "stands still for too long");
	else if (throttle)
		fprintf(out, "slows the guest down by %llu%%", throttle);
	else if (!says(p, "in-time"))
		fprintf(out, "takes too long");
	else if (!strcmp(way, "pre-copy"))
		fprintf(out, "ends after %llu rounds", (unsigned long long)view_count(p, "rounds"));
	else if (!strcmp(way, "hand-over"))
		fprintf(out, "copies nothing");
	else
		fprintf(out, "waits for pages after it moved");
	fprintf(out, "\n");
}

static void print_measured(const json_t *m, FILE *out)
{
	const json_t *curve = json_object_get(m, "curve"), *last;

	last = json_array_get(curve, json_array_size(curve) - 1);
	fprintf(out,
		"%llu pages of %.0f bytes on the wire; %.0f written a second, %llu of them "
		"distinct; %.1f MiB a second%s\n",
		(unsigned long long)view_count(m, "pages"), real(m, "page-bytes"),
		real(m, "dirty-rate"), (unsigned long long)view_count(last, "pages"),
		real(m, "bytes-per-second") / (double)MiB,
		says(m, "line-measured") ? "" : ", assumed");
}

const json_t *plan_view_chosen(const json_t *plan)
{
	const char *choice = json_string_value(json_object_get(plan, "choice"));

	return choice ? json_object_get(json_object_get(plan, "ways"), choice) : NULL;
}

void plan_view_print(const json_t *plan, FILE *out)
{
	json_t *ways = json_object_get(plan, "ways"), *p;
	const json_t *chosen = plan_view_chosen(plan);
	const char *way;

	print_measured(json_object_get(plan, "measured"), out);
	fprintf(out, "  %-10s %12s %12s %14s  %s\n", "", "total ms", "downtime ms", "sent",
		"the guest");
	json_object_foreach(ways, way, p)
	{
		fprintf(out, "%c %-10s %12.1f %12.1f %14s  ", p == chosen ? '*' : ' ',
			view_printable(way), ms(p, "total-us"), ms(p, "downtime-us"),
			view_size(p, "bytes").s);
		print_verdict(way, p, out);
	}
	fprintf(out, "%s: %s\n", view_text(plan, "choice"), view_text(plan, "reason"));
}
