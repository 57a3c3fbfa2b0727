// SPDX-License-Identifier: Apache-2.0
/*
 * Options of the host's side, and what follows from them. Contract in launch.h.
 *
 * One table of options serves run, restore and receive; each adds its own before it. What can be
 * said of a combination without opening anything is said here, as bad usage; the rest fails later,
 * where it is tried.
 */
#include "vmm/cli/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/base/inject.h"
#include "mm/policy/policy.h"

void launch_append(struct opt table[LAUNCH_MAX_OPTIONS], const struct opt *from, size_t n)
{
	size_t at = 0;

	while (table[at].name)
		at++;
	ASSERT(at + n < LAUNCH_MAX_OPTIONS);
	memcpy(table + at, from, n * sizeof(from[0]));
}

static void add_host_options(struct launch *l, struct opt *table)
{
	const struct opt options[] = {
		{"name", OPT_STRING, "NAME", &l->machine.name,
		 "name of the guest (default guest-PID)"},
		{"serial", OPT_STRING, "WHERE", &l->machine.serial,
		 "stdio, none, file:PATH or unix:PATH (default stdio)"},
		{"qmp", OPT_STRING, "PATH", &l->qmp,
		 "control socket (default NAME.qmp, see quire(1))"},
		{"log", OPT_STRING, "FILE", &l->log_path,
		 "registers of a guest that dies go there (default stderr)"},
		{"paused", OPT_FLAG, NULL, &l->paused,
		 "wait for `quire resume` before the first step"},
		{"detach", OPT_FLAG, NULL, &l->detach,
		 "return once the guest runs; no serial stdio"},
	};

	launch_append(table, options, ARRAY_SIZE(options));
}

static void add_memory_options(struct launch *l, struct opt *table)
{
	struct mem_config *mem = &l->vm.mem;
	const struct opt options[] = {
		{"limit", OPT_SIZE, "SIZE", &mem->limit,
		 "memory that the guest may occupy, what is stored included (default no limit)"},
		{"limit-min", OPT_SIZE, "SIZE", &mem->limit_min,
		 "let the limit move between this and --limit, by fault frequency"},
		{"policy", OPT_STRING, "NAME", &mem->policy,
		 "which page goes next (default clock+idle, see quire(1))"},
		{"swap", OPT_STRING, "FILE|none", &mem->swap,
		 "where stored pages go that find no room in memory (default a temporary file)"},
		{"store-limit", OPT_SIZE, "SIZE", &mem->store_limit,
		 "memory for compressed pages (default half of the limit)"},
		{"proactive", OPT_CHOICE, "off|promotions|stall", &l->proactive,
		 "push pages out before the limit does, as far as this stays low (default off)"},
		{"clean", OPT_CHOICE, "compare|protect", &l->clean,
		 "how a page is known to be still as it was stored (default compare)"},
		{"trace-pages", OPT_STRING, "FILE", &mem->trace, "record page references there"},
		{"trace-window", OPT_UINT, "N", &mem->trace_window,
		 "pages that are mapped at a time while recording (default 64)"},
		{"check-memory", OPT_FLAG, NULL, &mem->check,
		 "check page states at each step, and contents at each eviction (slow)"},
	};

	launch_append(table, options, ARRAY_SIZE(options));
}

void launch_add_options(struct launch *l, struct opt table[LAUNCH_MAX_OPTIONS])
{
	add_host_options(l, table);
	add_memory_options(l, table);
}

int launch_refuse_memory_options(int argc, char **argv, struct err *err)
{
	struct opt table[LAUNCH_MAX_OPTIONS] = {0};
	struct launch none;

	add_memory_options(&none, table);
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		for (const struct opt *o = table; o->name; o++) {
			size_t len = strlen(o->name);

			if (!strncmp(argv[i], "--", 2) && !strncmp(argv[i] + 2, o->name, len) &&
			    strchr("=", argv[i][2 + len]))
				return err_set(err, -EINVAL,
					       "--%s: a clone's memory is not managed (quire "
					       "restore makes guests whose memory is)",
					       o->name);
		}
	return 0;
}

/* What must go together, must not, or is wrong in itself. */
static int check_memory_options(struct launch *l, struct err *err)
{
	const struct mem_config *mem = &l->vm.mem;
	const struct {
		const char *name;
		bool given;
	} options[] = {
		{"limit", mem->limit},
		{"limit-min", mem->limit_min},
		{"policy", mem->policy},
		{"swap", mem->swap || mem->no_swap},
		{"store-limit", mem->store_limit},
		{"proactive", mem->proactive},
		{"clean", mem->clean},
		{"trace-pages", mem->trace},
	};
	struct policy_choice choice;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].given && l->vm.backing != SPACE_MEMFD)
			return err_set(err, -EINVAL, "--%s: needs --backing memfd",
				       options[i].name);
	if (mem->limit_min && !mem->limit)
		return err_set(err, -EINVAL, "--limit-min: needs --limit");
	if (mem->trace_window && !mem->trace)
		return err_set(err, -EINVAL, "--trace-window: needs --trace-pages");
	return mem->policy ? policy_parse(mem->policy, &choice, err) : 0;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && !strcmp(value, "1");
}

/* What the options and the environment say of memory. */
int launch_check(struct launch *l, struct err *err)
{
	static const enum mem_proactive modes[] = {MEM_PROACTIVE_OFF, MEM_PROACTIVE_PROMOTIONS,
						   MEM_PROACTIVE_STALL};
	static const enum mem_clean cleans[] = {MEM_CLEAN_COMPARE, MEM_CLEAN_PROTECT};
	struct mem_config *mem = &l->vm.mem;
	int ret;

	mem->proactive = modes[l->proactive];
	mem->clean = cleans[l->clean];
	if (mem->swap && !strcmp(mem->swap, "none")) {
		mem->no_swap = true;
		mem->swap = NULL;
	}
	ret = check_memory_options(l, err);
	mem->check |= is_set("QUIRE_CHECK_MEMORY");
	l->vm.check_mmu = is_set("QUIRE_CHECK_MMU");
	return ret ? ret : inject_init(getenv("QUIRE_FAULT"), err);
}
