// SPDX-License-Identifier: Apache-2.0
/*
 * quire: the table of sub-commands, and which of them was meant. SIGXFSZ is ignored for all of
 * them; every other signal is the business of the sub-command. Where to begin is in cmd.h.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cli/cmd.h"
#include "vmm/version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *operands;
	const char *help;
} commands[] = {
	{"run", cmd_run, "--kernel FILE …", "launch a guest"},
	{"ps", cmd_ps, "", "list the guests on this host"},
	{"pause", cmd_pause, "NAME", "stop a guest's processors"},
	{"resume", cmd_resume, "NAME", "let them run again"},
	{"powerdown", cmd_powerdown, "NAME", "press a guest's power button"},
	{"quit", cmd_quit, "NAME", "end a guest at once"},
	{"stats", cmd_stats, "NAME", "what a guest and its VMM are doing"},
	{"limit", cmd_limit, "NAME SIZE", "change how much memory a guest may occupy"},
	{"reclaim", cmd_reclaim, "NAME SIZE", "push so much of a guest's memory out now"},
	{"translate", cmd_translate, "NAME ADDRESS", "where an address leads, entry by entry"},
	{"checkpoint", cmd_checkpoint, "NAME DIR", "save a guest while it runs"},
	{"restore", cmd_restore, "DIR", "bring a guest back from a checkpoint"},
	{"clone", cmd_clone, "DIR COUNT", "make many guests of one checkpoint"},
	{"migrate", cmd_migrate, "NAME URI", "move a running guest to another quire"},
	{"receive", cmd_receive, "URI", "wait for a guest that moves here"},
	{"reset", cmd_reset, "NAME", "roll a guest back to its checkpoint"},
	{"image", cmd_image, "ACTION DIR", "look after images of guests"},
	{"qmp", cmd_qmp, "NAME COMMAND [JSON]", "send one QMP command"},
	{"doctor", cmd_doctor, "", "what this host's KVM can do"},
};

static void print_help(FILE *out)
{
	fprintf(out, "usage: quire COMMAND [OPTIONS]\n\n"
		     "A virtual machine monitor whose point is the guest's memory.\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		cmd_print_help_row(out, commands[i].name, commands[i].operands, commands[i].help);
	fprintf(out, "\n`quire COMMAND --help` explains each; `man quire` the whole.\n");
}

int main(int argc, char **argv)
{
	struct err err;

	/* a file that may not grow is an error where it is written, not the end of the guest */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2) {
		print_help(stderr);
		return CMD_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return cmd_finish_output(CMD_OK);
	}
	if (!strcmp(argv[1], "--version")) {
		printf("quire %s\n", QUIRE_VERSION);
		return cmd_finish_output(CMD_OK);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	err_set(&err, -1, "%s: unknown command (quire --help lists them)", argv[1]);
	return cmd_usage_error(&err);
}
