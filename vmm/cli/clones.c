// SPDX-License-Identifier: Apache-2.0
/*
 * Clones: forked, counted, waited for. Contract in clones.h.
 *
 * A clone reports through one pipe that all share: its number, once it runs. Reports and deaths are
 * both waited for by ppoll(): the signals that matter are blocked except inside it, so that none
 * comes between looking and waiting.
 */
#include "vmm/cli/clones.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "vmm/cli/session.h"

struct clones {
	struct clones_config cfg;
	int ready[2]; /* the pipe */
	pid_t parent;
	u32 at_once;		    /* how many may be on their way up */
	u32 forked, settled, ended; /* settled: they run, or never will */
	bool told_to_end;
	sigset_t old_mask; /* as it was before there were any */
	struct sigaction old_int, old_term, old_chld;
	struct clone clone[];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	if (sig != SIGCHLD)
		interrupted = 1;
}

void clones_name(const struct clones_config *cfg, u32 i, char name[RUNDIR_NAME_MAX + 1])
{
	snprintf(name, RUNDIR_NAME_MAX + 1, "%s-%u", cfg->prefix, i + 1);
}

const struct clone *clones_get(const struct clones *c, u32 i)
{
	ASSERT(i < c->cfg.count);
	return &c->clone[i];
}

int clones_check(const struct clones_config *cfg, struct err *err)
{
	char name[RUNDIR_NAME_MAX + 32], path[RUNDIR_PATH_MAX];

	/* the longest of them, not cut */
	snprintf(name, sizeof(name), "%.*s-%u", RUNDIR_NAME_MAX + 1, cfg->prefix, cfg->count);
	return rundir_socket_path(name, path, err);
}

/* ---- A clone's own process ---- */

/* Where its serial port leads: every clone has its number after the path. */
static int set_serial(struct launch *l, u32 i, char **spec)
{
	if (!strcmp(l->machine.serial, "none"))
		return 0;
	if (asprintf(spec, "%s-%u", l->machine.serial, i + 1) < 0)
		return -ENOMEM;
	l->machine.serial = *spec;
	return 0;
}

/* One that is not detached ends with its parent, however that ends. */
static void leave_parent(const struct clones *c)
{
	signal(SIGCHLD, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &c->old_mask, NULL);
	close(c->ready[0]);
	if (c->cfg.launch->detach) {
		setsid();
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != c->parent)
		exit(EXIT_FAILURE);
}

static _Noreturn void be_clone(const struct clones *c, u32 i)
{
	struct launch l = *c->cfg.launch;
	char *serial = NULL;
	int status = EXIT_FAILURE;

	leave_parent(c);
	clones_name(&c->cfg, i, l.default_name);
	l.machine.name = l.default_name;
	l.machine.vm = &l.vm;
	l.qmp = l.socket_path;
	l.ready_fd = c->ready[1];
	l.ready = i;
	l.is_clone = true;
	if (!rundir_socket_path(l.machine.name, l.socket_path, NULL) && !set_serial(&l, i, &serial))
		status = session_live(&l);
	free(serial);
	exit(status);
}

/* ---- The parent's ---- */

/* Those that run, by their own word. */
static void take_reports(struct clones *c)
{
	u32 i;

	while (read(c->ready[0], &i, sizeof(i)) == sizeof(i))
		if (i < c->forked && !c->clone[i].start_ns) {
			c->clone[i].start_ns = now_ns() - c->clone[i].forked_ns;
			c->settled++;
		}
}

/* Those that are gone. What they reported before is in the pipe by now. */
static void take_deaths(struct clones *c)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		take_reports(c);
		for (u32 i = 0; i < c->forked; i++) {
			struct clone *clone = &c->clone[i];

			if (clone->pid != pid || clone->ended)
				continue;
			clone->ended = true;
			clone->status = status;
			c->settled += !clone->start_ns;
			c->ended++;
			break;
		}
	}
}

static void end_all(struct clones *c)
{
	for (u32 i = 0; i < c->forked; i++)
		if (!c->clone[i].ended)
			kill(c->clone[i].pid, SIGTERM);
	c->told_to_end = true;
}

/* Wait until something has happened, and note it. */
static void wait_some(struct clones *c)
{
	struct pollfd fd = {.fd = c->ready[0], .events = POLLIN};
	sigset_t mask = c->old_mask;

	sigdelset(&mask, SIGCHLD);
	sigdelset(&mask, SIGINT);
	sigdelset(&mask, SIGTERM);
	ppoll(&fd, 1, NULL, &mask);
	take_reports(c);
	take_deaths(c);
	if (interrupted && !c->told_to_end)
		end_all(c);
}

/* ---- Making ---- */

/* A clone is a process with a few threads, and some of the kernel's for its VM. */
static void allow_processes(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NPROC, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NPROC, &limit);
}

static void take_signals(struct clones *c)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &c->old_mask);
	sigaction(SIGCHLD, &action, &c->old_chld);
	sigaction(SIGINT, &action, &c->old_int);
	sigaction(SIGTERM, &action, &c->old_term);
}

static int create(struct clones **out, const struct clones_config *cfg)
{
	struct clones *c = calloc(1, sizeof(*c) + cfg->count * sizeof(c->clone[0]));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!c)
		return -ENOMEM;
	if (pipe2(c->ready, O_CLOEXEC) || fcntl(c->ready[0], F_SETFL, O_NONBLOCK)) {
		int ret = -errno;

		free(c);
		return ret;
	}
	c->cfg = *cfg;
	c->parent = getpid();
	c->at_once = cpus > 1 ? (u32)cpus : 1;
	*out = c;
	return 0;
}

static int fork_one(struct clones *c, struct err *err)
{
	u32 i = c->forked;
	pid_t pid;

	c->clone[i].forked_ns = now_ns();
	pid = fork();
	if (!pid)
		be_clone(c, i);
	if (pid < 0)
		return err_set(err, -errno,
			       "clone %u of %u: %s (raise the limit of processes: ulimit -u, "
			       "pids.max, kernel.pid_max)",
			       i + 1, c->cfg.count, strerror(errno));
	c->clone[i].pid = pid;
	c->forked++;
	return 0;
}

int clones_make(struct clones **out, const struct clones_config *cfg, struct err *err)
{
	struct clones *c = NULL;
	int ret = create(&c, cfg);

	if (ret)
		return err_set(err, ret, "clones: %s", strerror(-ret));
	allow_processes();
	take_signals(c);
	while (!ret && c->forked < cfg->count && !interrupted) {
		if (c->forked - c->settled < c->at_once)
			ret = fork_one(c, err);
		else
			wait_some(c);
	}
	while (c->settled < c->forked)
		wait_some(c);
	*out = c;
	if (!ret && c->forked < cfg->count)
		ret = err_set(err, -EINTR, "clone %u of %u: interrupted by a signal", c->forked + 1,
			      cfg->count);
	return ret;
}

/* ---- The end ---- */

static bool ended_well(const struct clones *c, u32 i)
{
	const struct clone *clone = &c->clone[i];

	return clone->start_ns && WIFEXITED(clone->status) && !WEXITSTATUS(clone->status);
}

/* What it could not say itself. */
static void say_end(const struct clones *c, u32 i)
{
	int status = c->clone[i].status;
	char name[RUNDIR_NAME_MAX + 1];

	clones_name(&c->cfg, i, name);
	if (WIFSIGNALED(status) && !c->told_to_end)
		fprintf(stderr, "quire: guest %s: its process was ended by signal %d (%s)\n", name,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WIFEXITED(status) && WEXITSTATUS(status) > EXIT_FAILURE)
		fprintf(stderr, "quire: guest %s: ended with status %d\n", name,
			WEXITSTATUS(status));
}

bool clones_wait(struct clones *c)
{
	u32 well = 0;

	while (c->ended < c->forked) {
		if (interrupted && !c->told_to_end)
			end_all(c);
		wait_some(c);
	}
	for (u32 i = 0; i < c->forked; i++) {
		say_end(c, i);
		well += ended_well(c, i);
	}
	if (c->told_to_end)
		fprintf(stderr, "quire: clones: ended by a signal\n");
	return well == c->cfg.count;
}

void clones_destroy(struct clones *c)
{
	if (!c)
		return;
	sigaction(SIGCHLD, &c->old_chld, NULL);
	sigaction(SIGINT, &c->old_int, NULL);
	sigaction(SIGTERM, &c->old_term, NULL);
	sigprocmask(SIG_SETMASK, &c->old_mask, NULL);
	close(c->ready[0]);
	close(c->ready[1]);
	free(c);
}
