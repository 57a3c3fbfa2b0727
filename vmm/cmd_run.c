// SPDX-License-Identifier: Apache-2.0
/*
 * quire run: launch a guest and stay until it ends.
 *
 * With --detach a child does all that; the parent returns as soon as the guest runs, or with the
 * child's error. The child reports through a pipe: one byte when it is up, nothing (end of file)
 * when it died.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "mm/inject.h"
#include "vmm/cmd.h"
#include "vmm/control.h"
#include "vmm/machine.h"
#include "vmm/memory_view.h"
#include "vmm/opts.h"
#include "vmm/rundir.h"
#include "vmm/vm.h"

#define TOLD_AGAIN_NS ((u64)60 * 1000 * 1000 * 1000)

/* What the options say. */
struct run {
	struct vm_config vm;
	struct machine_config machine;
	const char *qmp;
	const char *log_path;
	int backing, mmu, proactive, clean;
	bool paused, detach;
	char default_name[RUNDIR_NAME_MAX + 1];
	char socket_path[RUNDIR_PATH_MAX];
	int ready_fd; /* --detach: the pipe to the parent; else -1 */
};

/* The live side: what exists while the guest does. */
struct session {
	uv_loop_t loop;
	uv_signal_t sigint, sigterm;
	struct machine *machine;
	struct control *control;
	/* when a person was last told of an event, by its kind; 0: never */
	u64 told[MEM_NR_EVENT_KINDS];
};

#define MAX_OPTIONS 32

/* Append the options in @from to the table. */
static void add_options(struct opt table[MAX_OPTIONS], const struct opt *from, size_t n)
{
	size_t at = 0;

	while (table[at].name)
		at++;
	ASSERT(at + n < MAX_OPTIONS);
	memcpy(table + at, from, n * sizeof(from[0]));
}

static void add_machine_options(struct run *run, struct opt *table)
{
	const struct opt options[] = {
		{"kernel", OPT_STRING, "FILE", &run->vm.kernel,
		 "kernel to boot: bzImage, vmlinux or any PVH ELF"},
		{"initrd", OPT_STRING, "FILE", &run->vm.initrd, "initial RAM disk"},
		{"append", OPT_STRING, "STRING", &run->vm.append, "kernel command line"},
		{"memory", OPT_SIZE, "SIZE", &run->vm.memory, "guest memory (default 256M)"},
		{"cpus", OPT_UINT, "N", &run->vm.nr_cpus,
		 "virtual processors, 1 to 16 (default 1)"},
		{"name", OPT_STRING, "NAME", &run->machine.name,
		 "name of the guest (default guest-PID)"},
		{"mmu", OPT_CHOICE, "auto|ept", &run->mmu,
		 "second-level translation: KVM's own (auto and ept are the same here)"},
		{"backing", OPT_CHOICE, "memfd|anon|hugetlb", &run->backing,
		 "what guest memory is made of (default memfd)"},
		{"serial", OPT_STRING, "WHERE", &run->machine.serial,
		 "stdio, none, file:PATH or unix:PATH (default stdio)"},
		{"qmp", OPT_STRING, "PATH", &run->qmp,
		 "control socket (default NAME.qmp, see quire(1))"},
		{"log", OPT_STRING, "FILE", &run->log_path,
		 "registers of a guest that dies go there (default stderr)"},
		{"paused", OPT_FLAG, NULL, &run->paused,
		 "wait for `quire resume` before the first step"},
		{"detach", OPT_FLAG, NULL, &run->detach,
		 "return once the guest runs; no serial stdio"},
	};

	add_options(table, options, ARRAY_SIZE(options));
}

static void add_memory_options(struct run *run, struct opt *table)
{
	struct mem_config *mem = &run->vm.mem;
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
		{"proactive", OPT_CHOICE, "off|promotions|stall", &run->proactive,
		 "push pages out before the limit does, as far as this stays low (default off)"},
		{"clean", OPT_CHOICE, "compare|protect", &run->clean,
		 "how a page is known to be still as it was stored (default compare)"},
		{"trace-pages", OPT_STRING, "FILE", &mem->trace, "record page references there"},
		{"trace-window", OPT_UINT, "N", &mem->trace_window,
		 "pages that are mapped at a time while recording (default 64)"},
		{"check-memory", OPT_FLAG, NULL, &mem->check,
		 "check page states at each step, and contents at each eviction (slow)"},
	};

	add_options(table, options, ARRAY_SIZE(options));
}

/* What must go together, must not, or is wrong in itself. */
static int check_memory_options(struct run *run, struct err *err)
{
	const struct mem_config *mem = &run->vm.mem;
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
		if (options[i].given && run->vm.backing != SPACE_MEMFD)
			return err_set(err, -EINVAL, "--%s: needs --backing memfd",
				       options[i].name);
	if (mem->limit_min && !mem->limit)
		return err_set(err, -EINVAL, "--limit-min: needs --limit");
	if (mem->trace_window && !mem->trace)
		return err_set(err, -EINVAL, "--trace-window: needs --trace-pages");
	return mem->policy ? policy_parse(mem->policy, &choice, err) : 0;
}

/* What the options and the environment say of memory. */
static int complete_memory(struct run *run, struct err *err)
{
	static const enum space_backing backings[] = {SPACE_MEMFD, SPACE_ANON, SPACE_HUGETLB};
	static const enum mem_proactive modes[] = {MEM_PROACTIVE_OFF, MEM_PROACTIVE_PROMOTIONS,
						   MEM_PROACTIVE_STALL};
	static const enum mem_clean cleans[] = {MEM_CLEAN_COMPARE, MEM_CLEAN_PROTECT};
	const char *check = getenv("QUIRE_CHECK_MEMORY");
	struct mem_config *mem = &run->vm.mem;
	int ret;

	run->vm.backing = backings[run->backing];
	mem->proactive = modes[run->proactive];
	mem->clean = cleans[run->clean];
	if (mem->swap && !strcmp(mem->swap, "none")) {
		mem->no_swap = true;
		mem->swap = NULL;
	}
	ret = check_memory_options(run, err);
	if (check && !strcmp(check, "1"))
		mem->check = true;
	return ret ? ret : inject_init(getenv("QUIRE_FAULT"), err);
}

static int parse(struct run *run, int argc, char **argv, struct err *err)
{
	struct opt table[MAX_OPTIONS] = {0};
	const struct opt_usage usage = {"run", "", "Launch a guest and stay until it ends."};
	int nr_operands, ret;

	add_machine_options(run, table);
	add_memory_options(run, table);
	ret = opts_parse(argc, argv, table, &usage, &nr_operands, err);
	if (ret)
		return ret;
	if (nr_operands)
		return err_set(err, -EINVAL, "%s: unexpected (options begin with --)", argv[1]);
	if (!run->vm.kernel)
		return err_set(err, -EINVAL,
			       "--kernel: missing (give a bzImage, vmlinux or PVH ELF)");
	return complete_memory(run, err);
}

/* Fill in what the user left open. */
static int complete(struct run *run, struct err *err)
{
	int ret;

	run->machine.vm = &run->vm;
	if (!run->machine.name) {
		snprintf(run->default_name, sizeof(run->default_name), "guest-%d", (int)getpid());
		run->machine.name = run->default_name;
	}
	if (!run->machine.serial || (run->detach && !strcmp(run->machine.serial, "stdio")))
		run->machine.serial = run->detach ? "none" : "stdio";
	ret = rundir_socket_path(run->machine.name, run->socket_path, err);
	if (ret)
		return ret;
	if (!run->qmp) {
		run->qmp = run->socket_path;
		return rundir_create(err);
	}
	return 0;
}

static int open_log(struct run *run, struct err *err)
{
	run->machine.log = stderr;
	if (!run->log_path)
		return 0;
	run->machine.log = fopen(run->log_path, "ae");
	if (!run->machine.log)
		return err_set(err, -errno, "--log %s: %s", run->log_path, strerror(errno));
	return 0;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct session *s = handle->data;

	(void)signum;
	machine_quit(s->machine, MACHINE_BY_SIGNAL);
}

static void on_event(void *opaque, enum machine_event event, enum machine_reason reason)
{
	struct session *s = opaque;

	control_event(s->control, event, reason);
}

/* Clients hear every event; a person one line on stderr, at most once a minute for each kind. */
static void on_memory_event(void *opaque, const struct mem_event *event)
{
	struct session *s = opaque;
	struct err room;
	const char *sentence = memory_event_sentence(event, &room);
	u64 now = uv_hrtime();

	control_memory_event(s->control, event);
	if (!sentence || (s->told[event->kind] && now - s->told[event->kind] < TOLD_AGAIN_NS))
		return;
	s->told[event->kind] = now;
	fprintf(stderr, "quire: guest %s: %s\n", machine_name(s->machine), sentence);
}

/* Tell the parent, and let go of its terminal. */
static void announce(const struct run *run)
{
	int null;

	if (run->ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(run->ready_fd, "k", 1) != 1)
		return; /* the parent is gone; the guest is not */
	close(run->ready_fd);
}

static int start(struct session *s, const struct run *run, struct err *err)
{
	int ret = machine_create(&s->machine, &s->loop, &run->machine, err);

	if (ret)
		return ret;
	/* before there is a socket to leave behind; delivered once the loop runs */
	uv_signal_start(&s->sigint, on_signal, SIGINT);
	uv_signal_start(&s->sigterm, on_signal, SIGTERM);
	ret = control_create(&s->control, &s->loop, s->machine, run->qmp, err);
	if (ret)
		return ret;
	machine_listen(s->machine, on_event, s);
	machine_listen_memory(s->machine, on_memory_event, s);
	if (machine_is_emulated_linux(s->machine))
		fprintf(stderr,
			"quire: note: this host's KVM emulates kernel code and stock Linux will "
			"not boot on it (see quire doctor; use tools/quire-lab)\n");
	return machine_start(s->machine, run->paused ? MACHINE_HOLD : MACHINE_RUN, err);
}

static void open_loop(struct session *s)
{
	uv_loop_init(&s->loop);
	s->sigint.data = s->sigterm.data = s;
	uv_signal_init(&s->loop, &s->sigint);
	uv_signal_init(&s->loop, &s->sigterm);
}

static void close_loop(struct session *s)
{
	uv_close((uv_handle_t *)&s->sigint, NULL);
	uv_close((uv_handle_t *)&s->sigterm, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT); /* the closings */
	uv_loop_close(&s->loop);
}

/* The guest's whole life. Returns the exit status. */
static int live(const struct run *run)
{
	struct session s = {0};
	struct err err;
	int ret, status = CMD_FAILED;

	signal(SIGPIPE, SIG_IGN);
	open_loop(&s);
	ret = start(&s, run, &err);
	if (ret) {
		cmd_error(&err);
	} else {
		announce(run);
		uv_run(&s.loop, UV_RUN_DEFAULT);
		status = machine_exit_status(s.machine, &err);
	}
	if (s.control)
		control_destroy(s.control);
	machine_destroy(s.machine);
	if (!ret && err.text[0])
		fprintf(stderr, "quire: guest %s: %s\n", run->machine.name, err.text);
	close_loop(&s);
	return status;
}

/* In the parent of a detached guest. */
static int wait_for_child(int fd, pid_t child)
{
	char byte;
	int status;
	ssize_t n;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return CMD_OK;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		return WEXITSTATUS(status);
	return CMD_FAILED;
}

static int live_detached(struct run *run)
{
	int fds[2];
	struct err err;
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		err_set(&err, -errno, "--detach: %s", strerror(errno));
		return cmd_error(&err);
	}
	if (child) {
		close(fds[1]);
		return wait_for_child(fds[0], child);
	}
	close(fds[0]);
	setsid();
	run->ready_fd = fds[1];
	return live(run);
}

int cmd_run(int argc, char **argv)
{
	struct run run = {
		.vm = {.memory = 256 * MiB, .nr_cpus = 1},
		.ready_fd = -1,
	};
	struct err err;
	int ret = parse(&run, argc, argv, &err);

	if (ret == OPTS_HELP)
		return CMD_OK;
	if (ret)
		return cmd_usage_error(&err);
	if (complete(&run, &err) || open_log(&run, &err))
		return cmd_error(&err);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return run.detach ? live_detached(&run) : live(&run);
}
