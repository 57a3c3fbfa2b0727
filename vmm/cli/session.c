// SPDX-License-Identifier: Apache-2.0
/*
 * A guest's life in its process. Contract in session.h.
 *
 * With --detach a child does all that; the parent returns as soon as the guest runs, or with the
 * child's error. The child reports through a pipe: a word when it is up, nothing (end of file) when
 * it died.
 */
#include "vmm/cli/session.h"

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

#include "vmm/control/control.h"
#include "vmm/cli/memory_view.h"
#include "vmm/cli/output.h"

#define TOLD_AGAIN_NS ((u64)60 * 1000 * 1000 * 1000)

/* What goes through the pipe of a guest that is up. */
#define READY_SIZE sizeof(((struct launch *)0)->ready)

/* The live side: what exists while the guest does. */
struct session {
	uv_loop_t loop;
	uv_signal_t sigint, sigterm;
	struct machine *machine;
	struct control *control;
	bool signalled;
	/* when a person was last told of an event, by its kind; 0: never */
	u64 told[MEM_NR_EVENT_KINDS];
};

static void on_signal(uv_signal_t *handle, int signum)
{
	struct session *s = handle->data;

	(void)signum;
	s->signalled = true;
	machine_quit(s->machine, SHUTDOWN_BY_SIGNAL);
}

static void on_event(void *opaque, enum machine_event event, enum shutdown_cause cause)
{
	struct session *s = opaque;

	control_event(s->control, event, cause);
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

static void on_checkpoint(void *opaque, const struct checkpoint_progress *progress)
{
	struct session *s = opaque;

	control_checkpoint_event(s->control, progress);
}

static void on_migrate(void *opaque, const struct migrate_progress *progress,
		       enum machine_migrate_news news)
{
	struct session *s = opaque;

	control_migrate_event(s->control, progress, news);
}

/* Tell the parent, and let go of its terminal. What goes wrong is said there unless detached. */
static void announce(const struct launch *l)
{
	int null;

	if (l->ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		if (l->detach)
			dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(l->ready_fd, &l->ready, READY_SIZE) != READY_SIZE)
		return; /* the parent is gone; the guest is not */
	close(l->ready_fd);
}

static int start(struct session *s, const struct launch *l, struct err *err)
{
	int ret = machine_create(&s->machine, &s->loop, &l->machine, err);

	if (ret)
		return ret;
	/* before there is a socket to leave behind; delivered once the loop runs */
	uv_signal_start(&s->sigint, on_signal, SIGINT);
	uv_signal_start(&s->sigterm, on_signal, SIGTERM);
	ret = control_create(&s->control, &s->loop, s->machine, l->qmp, err);
	if (ret)
		return ret;
	machine_listen(s->machine, on_event, s);
	machine_listen_memory(s->machine, on_memory_event, s);
	machine_listen_checkpoint(s->machine, on_checkpoint, s);
	machine_listen_migrate(s->machine, on_migrate, s);
	if (machine_is_emulated_linux(s->machine))
		fprintf(stderr,
			"quire: note: this host's KVM emulates kernel code and stock Linux will "
			"not boot on it (use --mmu shadow or tools/quire-lab; see quire doctor)\n");
	ret = machine_start(s->machine, l->paused ? MACHINE_HOLD : MACHINE_RUN, err);
	if (!ret && machine_receives_at(s->machine))
		fprintf(stderr, "quire: guest %s: waits at %s\n", l->machine.name,
			machine_receives_at(s->machine));
	return ret;
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

/* The guest's whole life. */
int session_live(const struct launch *l)
{
	struct session s = {0};
	struct err err;
	int ret, status = CMD_FAILED;

	signal(SIGPIPE, SIG_IGN);
	open_loop(&s);
	ret = start(&s, l, &err);
	if (ret) {
		cmd_error(&err);
	} else {
		announce(l);
		uv_run(&s.loop, UV_RUN_DEFAULT);
	}
	if (s.control)
		control_destroy(s.control);
	if (!ret)
		status = machine_exit_status(s.machine, &err);
	machine_destroy(s.machine);
	if (!ret && err.text[0] && !(l->is_clone && s.signalled))
		fprintf(stderr, "quire: guest %s: %s\n", l->machine.name, err.text);
	close_loop(&s);
	return status;
}

/* In the parent of a detached guest. */
static int wait_for_child(int fd, pid_t child)
{
	char ready[READY_SIZE];
	int status;
	ssize_t n;

	do {
		n = read(fd, ready, sizeof(ready));
	} while (n < 0 && errno == EINTR);
	if (n == sizeof(ready))
		return CMD_OK;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		return WEXITSTATUS(status);
	return CMD_FAILED;
}

static int live_detached(struct launch *l)
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
	l->ready_fd = fds[1];
	return session_live(l);
}

/* Fill in what the user left open. */
static int complete(struct launch *l, struct err *err)
{
	int ret;

	l->machine.vm = &l->vm;
	if (!l->machine.name) {
		snprintf(l->default_name, sizeof(l->default_name), "guest-%d", (int)getpid());
		l->machine.name = l->default_name;
	}
	if (!l->machine.serial || (l->detach && !strcmp(l->machine.serial, "stdio")))
		l->machine.serial = l->detach ? "none" : "stdio";
	ret = rundir_socket_path(l->machine.name, l->socket_path, err);
	if (ret)
		return ret;
	if (!l->qmp) {
		l->qmp = l->socket_path;
		return rundir_create(err);
	}
	return 0;
}

int session_open(struct launch *l, struct err *err)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	l->machine.log = stderr;
	if (!l->log_path)
		return 0;
	l->machine.log = fopen(l->log_path, "ae");
	if (!l->machine.log)
		return err_set(err, -errno, "--log %s: %s", l->log_path, strerror(errno));
	return 0;
}

int session_run(struct launch *l)
{
	struct err err;

	if (complete(l, &err) || session_open(l, &err))
		return cmd_error(&err);
	return l->detach ? live_detached(l) : session_live(l);
}
