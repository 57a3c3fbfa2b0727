// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as a reference trace. There is either a sentence or a trace that is
 * dense, and that written as numbers is read as the same again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/policy/trace_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check_dense(const struct trace *t)
{
	u32 known = 0;

	expect(t->nr_refs && t->nr_pages && t->nr_pages <= t->nr_refs);
	expect(t->nr_writes <= t->nr_refs);
	for (u32 i = 0; i < t->nr_refs; i++) {
		expect(t->refs[i] <= known);
		known += t->refs[i] == known;
	}
	expect(known == t->nr_pages);
}

static void check_again(const struct trace *t)
{
	struct trace again;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	expect(f != NULL);
	for (u32 i = 0; i < t->nr_refs; i++)
		fprintf(f, "%llu,", (unsigned long long)t->pages[t->refs[i]]);
	expect(!fclose(f));
	expect(!trace_parse(&again, "again", text, len, NULL));
	expect(again.nr_refs == t->nr_refs && again.nr_pages == t->nr_pages);
	expect(!memcmp(again.refs, t->refs, t->nr_refs * sizeof(t->refs[0])));
	expect(!memcmp(again.pages, t->pages, t->nr_pages * sizeof(t->pages[0])));
	trace_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct trace t;
	struct err err = {.text = ""};

	if (trace_parse(&t, "input", (const char *)data, len, &err)) {
		expect(!strncmp(err.text, "input:", 6));
		return 0;
	}
	expect(!err.text[0]);
	check_dense(&t);
	check_again(&t);
	trace_free(&t);
	return 0;
}
