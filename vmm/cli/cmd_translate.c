// SPDX-License-Identifier: Apache-2.0
/*
 * The sub-command `translate`: where a linear address of a running guest leads, entry by entry. A
 * client of the control socket like those of cmd_orders.c; what it is told is not trusted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mm/base/base.h"
#include "vmm/control/client.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/opts.h"
#include "vmm/control/translate_json.h"

/* A table may have to be read from a swap file. */
#define TIMEOUT_MS 30000

/* ---- A table for a person ---- */

static struct view_size page_size(const json_t *object)
{
	u64 size = view_count(object, "size");
	struct view_size v;

	if (size >= GiB)
		snprintf(v.s, sizeof(v.s), "%lluG", (unsigned long long)(size / GiB));
	else if (size >= MiB)
		snprintf(v.s, sizeof(v.s), "%lluM", (unsigned long long)(size / MiB));
	else
		snprintf(v.s, sizeof(v.s), "%lluK", (unsigned long long)(size / KiB));
	return v;
}

/* The second step of what stands in the same row. */
static void print_second(const json_t *second)
{
	printf("  %-9s %4s %18s  %s\n", view_text(second, "state"), page_size(second).s,
	       view_text(second, "entry"), view_text(second, "flags"));
}

static void print_steps(const json_t *steps)
{
	const json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		printf("%-5s %5llu %18s %18s  %-14s", view_text(step, "level"),
		       (unsigned long long)view_count(step, "index"), view_text(step, "at"),
		       view_text(step, "entry"), view_text(step, "flags"));
		print_second(json_object_get(step, "second"));
	}
}

/* The guest's entries, and where they lead; beside each its second step. */
static void print_walk(const json_t *t, const json_t *page)
{
	printf("%-5s %5s %18s %18s  %-14s  %-9s %4s %18s  %s\n", "ENTRY", "INDEX", "AT", "VALUE",
	       "FLAGS", "STATE", "SIZE", "SECOND STEP", "FLAGS");
	print_steps(json_object_get(t, "steps"));
	if (!json_is_object(page))
		return;
	printf("%-5s %5s %18s %18s  %-14s", "page", "", view_text(page, "at"), "", "");
	print_second(json_object_get(page, "second"));
}

/* The whole way of the page's second step. */
static void print_page_way(const json_t *second)
{
	const json_t *entries = json_object_get(second, "entries"), *entry;
	size_t i;

	printf("\nthe second step of the page, as EPT entries:\n");
	json_array_foreach(entries, i, entry)
	{
		printf("%-5s %5llu %18s %18s  %s\n", view_text(entry, "level"),
		       (unsigned long long)view_count(entry, "index"), "",
		       view_text(entry, "entry"), view_text(entry, "flags"));
	}
	if (json_is_string(json_object_get(second, "machine")))
		printf("%-5s %5s %18s %18s  %s\n", "page", "", view_text(second, "machine"), "",
		       view_text(second, "state"));
}

static void print_page(const json_t *t, const json_t *page)
{
	printf("%s is at %s, in a page of %s: %s, %s, %s\n", view_text(t, "address"),
	       view_text(page, "at"), page_size(page).s,
	       json_is_true(json_object_get(page, "writable")) ? "writable" : "read-only",
	       json_is_true(json_object_get(page, "user")) ? "for users" : "for supervisors",
	       json_is_true(json_object_get(page, "executable")) ? "executable" : "not executable");
}

/* Of a guest on shadow tables: what the processor finds in the guest's entries' place. */
static void print_shadow(const json_t *t)
{
	const json_t *step;
	size_t i;

	if (!json_is_string(json_object_get(t, "view")))
		return;
	printf("\nthe processor walks shadow tables instead, here those for %s:\n",
	       strcmp(view_text(t, "view"), "kernel") ? "processes" : "the kernel");
	json_array_foreach(json_object_get(t, "steps"), i, step)
	{
		if (json_is_string(json_object_get(step, "shadow")))
			printf("%-5s %5llu %18s %18s\n", view_text(step, "level"),
			       (unsigned long long)view_count(step, "index"), "",
			       view_text(step, "shadow"));
	}
}

static void print_cost(const json_t *t, const json_t *cost)
{
	unsigned long long n = view_count(cost, "references");
	unsigned long long guest = view_count(cost, "guest-levels");

	if (json_is_string(json_object_get(t, "view")))
		printf("a TLB miss costs at most %llu memory references: %llu levels of shadow "
		       "tables, %llu of the host's (%s)\n",
		       n, (unsigned long long)view_count(cost, "shadow-levels"),
		       (unsigned long long)view_count(cost, "host-levels"),
		       view_text(t, "second-step"));
	else if (view_count(cost, "shadow-levels"))
		printf("KVM shadows the guest's tables here: a TLB miss costs at most %llu memory "
		       "references, one for each level\n",
		       n);
	else
		printf("a TLB miss costs at most %llu memory references: %llu levels of the "
		       "guest's tables, %llu of the host's (%s)\n",
		       n, guest, (unsigned long long)view_count(cost, "host-levels"),
		       view_text(t, "second-step"));
}

/* Why there is no page. */
static void print_why(const json_t *t)
{
	const char *address = view_text(t, "address"), *outcome = view_text(t, "outcome");
	const json_t *fault = json_object_get(t, "fault");
	u64 code = view_count(fault, "code");

	if (json_is_object(fault))
		printf("%s %s: page fault, error code 0x%llx (%s)\n", address,
		       code & PTWALK_ERROR_PRESENT ? "cannot be accessed so" : "is not mapped",
		       (unsigned long long)code, view_text(fault, "words"));
	else if (!strcmp(outcome, "general-protection") || !strcmp(outcome, "stack-fault"))
		printf("%s is not in the segment: a %s before any table is read\n", address,
		       outcome[0] == 's' ? "stack fault" : "general-protection fault");
	else if (!strcmp(outcome, "not-canonical"))
		printf("%s is not canonical: a fault before any table is read\n", address);
	else if (!strcmp(outcome, "no-memory"))
		printf("%s is not mapped: the last entry is where no memory is\n", address);
	else
		printf("%s is not mapped: %s\n", address, outcome);
}

static void print_outcome(const json_t *t, const json_t *page)
{
	if (!json_is_object(page)) {
		print_why(t);
		return;
	}
	print_page(t, page);
	print_shadow(t);
	print_cost(t, json_object_get(t, "cost"));
	print_page_way(json_object_get(page, "second"));
}

/* Of an address in a segment: how it became a linear one. */
static void print_segment(const json_t *t)
{
	const json_t *segment = json_object_get(t, "segment");

	if (json_is_object(segment))
		printf("%s:%s, base %s: linear address %s\n", view_text(segment, "name"),
		       view_text(segment, "offset"), view_text(segment, "base"),
		       view_text(t, "address"));
}

static void print_translation(const json_t *t)
{
	const json_t *page = json_object_get(t, "page");

	print_segment(t);

	printf("vCPU %llu, paging %s: %s by %s of %s\n\n", (unsigned long long)view_count(t, "cpu"),
	       view_text(t, "paging"), view_text(t, "access"),
	       json_is_true(json_object_get(t, "user")) ? "user" : "supervisor",
	       view_text(t, "address"));
	if (json_array_size(json_object_get(t, "steps")) || json_is_object(page)) {
		print_walk(t, page);
		printf("\n");
	}
	print_outcome(t, page);
}

/* ---- The command ---- */

static int ask(const char *guest, json_t *args, bool json, struct err *err)
{
	struct client *c;
	json_t *t;
	int ret = client_connect(&c, guest, TIMEOUT_MS, err);

	if (ret)
		return ret;
	ret = client_execute(c, "x-quire-translate", args, &t, err);
	client_close(c);
	if (ret)
		return ret;
	if (json)
		cmd_print_json(t, JSON_INDENT(2));
	else
		print_translation(t);
	json_decref(t);
	return 0;
}

static const char *kind_name(bool write, bool fetch)
{
	return translate_kind_names[write ? PTWALK_WRITE : fetch ? PTWALK_FETCH : PTWALK_READ];
}

int cmd_translate(int argc, char **argv)
{
	bool write = false, fetch = false, user = false, json = false;
	unsigned int cpu = 0;
	const struct opt table[] = {
		{"cpu", OPT_UINT, "N", &cpu, "by whose tables (default 0)"},
		{"write", OPT_FLAG, NULL, &write, "for a write, rather than a read"},
		{"fetch", OPT_FLAG, NULL, &fetch, "for an instruction"},
		{"user", OPT_FLAG, NULL, &user, "by a user (CPL 3), rather than a supervisor"},
		{"json", OPT_FLAG, NULL, &json, "print JSON"},
		{0},
	};
	const struct opt_usage usage = {
		"translate", "NAME [SEGMENT:]ADDRESS",
		"Show where an address of a guest leads, entry by entry, and what it costs."};
	struct err err;
	json_t *args;
	struct translate_order order;
	int nr_operands, ret = opts_parse(argc, argv, table, &usage, &nr_operands, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && nr_operands != 2)
		ret = err_set(&err, -EINVAL, "translate: needs a guest's name and an address");
	if (!ret && translate_parse_address(argv[2], &order))
		ret = err_set(&err, -EINVAL,
			      "translate: %s: not an address (give 0x1000, 4096, or gs:0x10)",
			      argv[2]);
	if (!ret && write && fetch)
		ret = err_set(&err, -EINVAL, "--write, --fetch: give one");
	if (ret)
		return cmd_usage_error(&err);
	args = json_pack("{s:s, s:I, s:s, s:b}", "address", argv[2], "cpu", (json_int_t)cpu,
			 "access", kind_name(write, fetch), "user", user);
	ret = ask(argv[1], args, json, &err);
	json_decref(args);
	return cmd_finish_output(ret ? cmd_error(&err) : CMD_OK);
}
