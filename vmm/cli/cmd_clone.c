// SPDX-License-Identifier: Apache-2.0
/*
 * quire clone: make many guests of one checkpoint, and stay until all have ended.
 *
 * This process opens the image and becomes the parent of the clones (clones.h), which are forked
 * from it with everything read and checked. So it has one thread, and a main loop only in its
 * children.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/clones.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/launch.h"
#include "vmm/cli/session.h"
#include "vmm/checkpoint/origin.h"

struct order {
	struct launch launch;
	struct origin origin;
	struct clones_config clones;
	const char *dir;
	char default_prefix[32];
	unsigned int link;
	int clock;
	bool json;
};

/* What cannot be shared, or would be the same for all. */
static int check(struct order *o, struct err *err)
{
	struct launch *l = &o->launch;

	if (!o->clones.count || o->clones.count > CLONES_MAX)
		return err_set(err, -EINVAL, "clone: %u guests cannot be made (give 1 to %u)",
			       o->clones.count, CLONES_MAX);
	if (!l->machine.serial)
		l->machine.serial = "none";
	if (strcmp(l->machine.serial, "none") && strncmp(l->machine.serial, "file:", 5) &&
	    strncmp(l->machine.serial, "unix:", 5))
		return err_set(err, -EINVAL,
			       "--serial %s: not for several guests (give none, file:PATH or "
			       "unix:PATH)",
			       l->machine.serial);
	if (!o->clones.prefix) {
		snprintf(o->default_prefix, sizeof(o->default_prefix), "guest-%d", (int)getpid());
		o->clones.prefix = o->default_prefix;
	}
	l->vm.backing = SPACE_CLONE;
	o->origin.clock = o->clock ? STATE_CLOCK_JUMP : STATE_CLOCK_CONTINUE;
	return clones_check(&o->clones, err);
}

static int parse_operands(struct order *o, int n, char **argv, struct err *err)
{
	if (n != 2)
		return err_set(err, -EINVAL,
			       "clone: needs the directory of a checkpoint and a number");
	o->dir = argv[1];
	if (opts_parse_uint(argv[2], &o->clones.count))
		return err_set(err, -EINVAL, "clone: %s: not a number of guests", argv[2]);
	return 0;
}

static int parse(struct order *o, int argc, char **argv, struct err *err)
{
	struct launch *l = &o->launch;
	const struct opt table[] = {
		{"name", OPT_STRING, "PREFIX", &o->clones.prefix,
		 "names are PREFIX-1, PREFIX-2 … (default guest-PID)"},
		{"link", OPT_UINT, "N", &o->link, "which link of the chain (default the newest)"},
		{"clock", OPT_CHOICE, "continue|jump", &o->clock,
		 "the guests' time: as if none had passed, or with the host's (default continue)"},
		{"serial", OPT_STRING, "WHERE", &l->machine.serial,
		 "none, file:PATH or unix:PATH; -1, -2 … is added to PATH (default none)"},
		{"log", OPT_STRING, "FILE", &l->log_path,
		 "registers of guests that die go there (default stderr)"},
		{"paused", OPT_FLAG, NULL, &l->paused,
		 "wait for `quire resume` before the first step"},
		{"detach", OPT_FLAG, NULL, &l->detach, "return once all guests run"},
		{"json", OPT_FLAG, NULL, &o->json, "print JSON, sizes in bytes"},
		{0},
	};
	const struct opt_usage usage = {"clone", "DIR COUNT",
					"Make many guests of one checkpoint, which share its "
					"memory, and stay until all end."};
	int nr_operands, ret = launch_refuse_memory_options(argc, argv, err);

	if (!ret)
		ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);
	if (!ret)
		ret = parse_operands(o, nr_operands, argv, err);
	if (!ret)
		ret = check(o, err);
	return ret;
}

static json_t *guest_json(const struct order *o, const struct clones *c, u32 i)
{
	const struct clone *clone = clones_get(c, i);
	char name[RUNDIR_NAME_MAX + 1];

	clones_name(&o->clones, i, name);
	return json_pack("{s:s, s:i, s:I}", "name", name, "pid", (int)clone->pid, "start-us",
			 (json_int_t)(clone->start_ns / 1000));
}

static void print_guests(const struct order *o, const struct clones *c)
{
	json_t *guests = json_array(), *all;
	char name[RUNDIR_NAME_MAX + 1];
	struct stat base = {0};

	for (u32 i = 0; i < o->clones.count; i++) {
		if (!clones_get(c, i)->start_ns)
			continue;
		clones_name(&o->clones, i, name);
		if (o->json)
			json_array_append_new(guests, guest_json(o, c, i));
		else
			printf("%s\n", name);
	}
	fstat(o->origin.base_fd, &base);
	all = json_pack("{s:I, s:I, s:o}", "memory", (json_int_t)o->launch.vm.memory, "base",
			(json_int_t)base.st_blocks * 512, "guests", guests);
	if (o->json)
		cmd_print_json(all, JSON_INDENT(2));
	json_decref(all);
}

static bool all_run(const struct order *o, const struct clones *c)
{
	for (u32 i = 0; i < o->clones.count; i++)
		if (!clones_get(c, i)->start_ns)
			return false;
	return true;
}

/* Returns the exit status. */
static int make(struct order *o)
{
	struct clones *c = NULL;
	struct err err;
	bool well;

	if (clones_make(&c, &o->clones, &err))
		cmd_error(&err);
	if (!c)
		return CMD_FAILED;
	print_guests(o, c);
	well = cmd_finish_output(CMD_OK) == CMD_OK && all_run(o, c);
	if (!o->launch.detach)
		well = clones_wait(c) && well;
	clones_destroy(c);
	return well ? CMD_OK : CMD_FAILED;
}

int cmd_clone(int argc, char **argv)
{
	struct order o = {.launch = {.ready_fd = -1}};
	struct err err;
	int ret = parse(&o, argc, argv, &err), status = CMD_FAILED;

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (ret)
		return cmd_usage_error(&err);
	o.clones.launch = &o.launch;
	ret = origin_open(&o.origin, o.dir, o.link, &o.launch.vm, &err);
	if (ret)
		return cmd_error(&err);
	o.launch.vm.origin = &o.origin;
	ret = rundir_create(&err);
	if (!ret)
		ret = session_open(&o.launch, &err);
	if (!ret)
		ret = origin_make_base(&o.origin, &err);
	status = ret ? cmd_error(&err) : make(&o);
	origin_close(&o.origin);
	return status;
}
