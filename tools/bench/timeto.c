// SPDX-License-Identifier: Apache-2.0
/*
 * timeto: how long commands take from their start until they print a given text.
 *
 *	timeto [-n RUNS] [-w WARMUPS] TEXT -- NAME COMMAND... -- NAME COMMAND... ...
 *
 * The commands run in turn, A B C A B C ..., so that a machine whose speed drifts treats them
 * alike. The clock starts before fork() and stops when TEXT (empty: the first byte) has arrived on
 * the command's standard output; then the command is ended and waited for. One line per command:
 *
 *	NAME	median	minimum	maximum		(milliseconds)
 *
 * Exit status 1 when a command ended without printing TEXT.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_COMMANDS 8
#define MAX_RUNS     201

struct command {
	const char *name;
	char **argv;
	double ms[MAX_RUNS];
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static _Noreturn void run_child(char **argv, int out)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* Read until @text has come; 0 when it has, -1 at the end of output. */
static int wait_for_text(int fd, const char *text)
{
	char buf[65536];
	size_t have = 0, keep = strlen(text);

	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - 1 - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		have += (size_t)n;
		if (!keep || memmem(buf, have, text, keep))
			return 0;
		/* what may be the beginning of it */
		if (have > keep) {
			memmove(buf, buf + have - keep, keep);
			have = keep;
		}
	}
}

static int time_one(const struct command *c, const char *text, double *ms)
{
	int fds[2], found;
	double start;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	start = now_ms();
	child = fork();
	if (child < 0)
		return -1;
	if (!child)
		run_child(c->argv, fds[1]);
	close(fds[1]);
	found = wait_for_text(fds[0], text);
	*ms = now_ms() - start;
	close(fds[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (found < 0)
		fprintf(stderr, "timeto: %s ended without printing \"%s\"\n", c->name, text);
	return found;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Cut argv at each "--" into a name and a command. */
static int split(char **argv, struct command *commands)
{
	int n = 0;

	while (*argv && n < MAX_COMMANDS) {
		if (strcmp(*argv, "--") || !argv[1] || !argv[2])
			return -1;
		*argv = NULL;
		commands[n].name = argv[1];
		commands[n++].argv = argv + 2;
		for (argv += 2; *argv && strcmp(*argv, "--");)
			argv++;
	}
	return n;
}

static int measure(struct command *commands, int n, const char *text, int warmups, int runs)
{
	double dropped;

	for (int run = -warmups; run < runs; run++)
		for (int i = 0; i < n; i++)
			if (time_one(&commands[i], text, run < 0 ? &dropped : &commands[i].ms[run]))
				return 1;
	for (int i = 0; i < n; i++) {
		double *ms = commands[i].ms;

		qsort(ms, (size_t)runs, sizeof(*ms), compare);
		printf("%s\t%.3f\t%.3f\t%.3f\n", commands[i].name, ms[runs / 2], ms[0],
		       ms[runs - 1]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct command commands[MAX_COMMANDS];
	int runs = 11, warmups = 1, n, opt;

	while ((opt = getopt(argc, argv, "+n:w:")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'w')
			warmups = atoi(optarg);
	}
	n = argc - optind >= 4 ? split(argv + optind + 1, commands) : -1;
	if (n <= 0 || runs < 1 || runs > MAX_RUNS || warmups < 0) {
		fprintf(stderr,
			"usage: timeto [-n RUNS] [-w WARMUPS] TEXT -- NAME COMMAND... ...\n");
		return 2;
	}
	return measure(commands, n, argv[optind], warmups, runs);
}
