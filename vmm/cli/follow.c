// SPDX-License-Identifier: Apache-2.0
/* Contract in follow.h. */
#include "vmm/cli/follow.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void follow_take_signals(void)
{
	const struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

const char *follow_status(const json_t *progress)
{
	const char *status = json_string_value(json_object_get(progress, "status"));

	return status ? status : "";
}

bool follow_is(const json_t *progress, const char *status)
{
	return !strcmp(follow_status(progress), status);
}

/* Over the line that was shown before. */
static void show(const struct follow *f, const json_t *progress)
{
	fprintf(stderr, "\r\033[K");
	if (progress)
		f->show(f->opaque, progress);
	fflush(stderr);
}

int follow(struct client *c, const struct follow *f, json_t **progress, struct err *err)
{
	bool shown = f->show && isatty(STDERR_FILENO), told = false;
	int ret;

	while (!(ret = client_execute(c, f->query, NULL, progress, err)) &&
	       !f->is_over(*progress)) {
		if (shown)
			show(f, *progress);
		json_decref(*progress);
		*progress = NULL;
		if (interrupted && !f->cancel)
			return err_set(err, -EINTR, "interrupted");
		if (interrupted && !told) {
			told = true;
			client_execute(c, f->cancel, NULL, NULL, err);
		}
		usleep(f->poll_us);
	}
	if (shown)
		show(f, NULL);
	return ret;
}
