// SPDX-License-Identifier: Apache-2.0
/*
 * Shadow tables for people. Contract in mmu_view.h. It is told by a guest's process and not
 * trusted: text and numbers come by way of memory_view.h.
 */
#include "vmm/cli/mmu_view.h"

#include <string.h>

#include "vmm/cli/memory_view.h"

static unsigned long long count(const json_t *object, const char *key)
{
	return view_count(object, key);
}

/* The sum of an object's numbers, or of what its objects count. */
static unsigned long long sum(const json_t *object)
{
	unsigned long long n = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
		n += json_is_object(value) ? count(value, "count") : count(object, key);
	return n;
}

/* "PF 12, UD 3" */
static void print_counts(const json_t *object, FILE *out)
{
	const char *key, *before = "";
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		if (!count(object, key))
			continue;
		fprintf(out, "%s%s %llu", before, view_printable(key), count(object, key));
		before = ", ";
	}
	fprintf(out, "\n");
}

static void print_tables(const json_t *mmu, FILE *out)
{
	const json_t *t = json_object_get(mmu, "tables");

	fprintf(out,
		"mmu       shadow: %llu tables of the kernel, %llu of processes, %llu entries\n",
		sum(json_object_get(t, "kernel")), sum(json_object_get(t, "user")),
		count(t, "entries"));
	fprintf(out,
		"          made %llu, dropped %llu, reclaimed %llu; of %llu pages %llu are free\n",
		count(t, "made"), count(t, "dropped"), count(t, "reclaimed"),
		count(t, "arena-pages"), count(t, "free-pages"));
}

void mmu_view_print(const json_t *mmu, FILE *out)
{
	const json_t *traps = json_object_get(mmu, "traps");
	const json_t *faults = json_object_get(mmu, "shadow-faults");
	const json_t *calls = json_object_get(mmu, "hypercalls");

	if (strcmp(view_text(mmu, "mode"), "shadow"))
		return;
	print_tables(mmu, out);
	fprintf(out, "  %-14s %llu: ", "traps", sum(traps));
	print_counts(traps, out);
	fprintf(out, "  %-14s %llu in %s: ", "faults", sum(faults),
		view_time(view_count(mmu, "fault-ns")).s);
	print_counts(faults, out);
	fprintf(out, "  %-14s %llu in %s\n", "hypercalls", sum(calls),
		view_time(view_count(mmu, "hypercall-ns")).s);
}
