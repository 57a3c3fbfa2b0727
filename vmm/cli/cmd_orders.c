// SPDX-License-Identifier: Apache-2.0
/*
 * The orders that are one QMP command for each of several guests: pause, resume, powerdown, quit,
 * reset. A guest that cannot be reached does not keep the order from the ones named after it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "vmm/cli/cmd.h"
#include "vmm/cli/opts.h"
#include "vmm/control/client.h"

/* A guest that is asked to start anew loads its kernel again, in an emulated host for seconds. */
#define COMMAND_TIMEOUT_MS 30000
#define QUIT_TIMEOUT_MS	   10000

/* One that is answered when it is done; only "quit" is waited for beyond its answer. */
struct order {
	const char *name;    /* the sub-command */
	const char *command; /* QMP */
	int timeout_ms;
	const char *summary;
};

static int order_one(const struct order *order, const char *guest, struct err *err)
{
	struct client *c;
	int ret = client_connect(&c, guest, order->timeout_ms, err);

	if (ret)
		return ret;
	ret = client_execute(c, order->command, NULL, NULL, err);
	client_close(c);
	return ret;
}

/* Wait for the end of the process behind @pidfd. */
static int wait_for_end(int pidfd, const char *guest, struct err *err)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	int ret;

	do {
		ret = poll(&fd, 1, QUIT_TIMEOUT_MS);
	} while (ret < 0 && errno == EINTR);
	if (ret > 0)
		return 0;
	return err_set(err, -ETIMEDOUT, "guest %s: agreed to quit, but is still there after %d s",
		       guest, QUIT_TIMEOUT_MS / 1000);
}

/*
 * As order_one(), and the process has really gone, with its name free again, when this returns. The
 * process is taken hold of before it can end, so that no other one can be mistaken for it.
 */
static int quit_one(const struct order *order, const char *guest, struct err *err)
{
	struct client *c;
	int pidfd, ret = client_connect(&c, guest, order->timeout_ms, err);

	if (ret)
		return ret;
	pidfd = pidfd_open(client_peer(c), 0);
	ret = client_execute(c, order->command, NULL, NULL, err);
	client_close(c);
	if (pidfd < 0)
		return ret;
	/* a guest that ended of itself just now is as gone as was asked for */
	if (!ret || ret == -ECONNRESET)
		ret = wait_for_end(pidfd, guest, err);
	close(pidfd);
	return ret;
}

/* A guest that cannot be reached does not keep the order from the ones named after it. */
static int give_order(const struct order *order, int argc, char **argv)
{
	const struct opt table[] = {{0}};
	const struct opt_usage usage = {order->name, "NAME...", order->summary};
	int (*const one)(const struct order *, const char *,
			 struct err *) = strcmp(order->command, "quit") ? order_one : quit_one;
	struct err err;
	int nr_guests, status = CMD_OK;
	int ret = opts_parse(argc, argv, table, &usage, &nr_guests, &err);

	if (ret == OPTS_HELP)
		return cmd_finish_output(CMD_OK);
	if (!ret && !nr_guests)
		ret = err_set(&err, -EINVAL, "%s: which guest? (quire ps lists them)", order->name);
	if (ret)
		return cmd_usage_error(&err);
	for (int i = 1; i <= nr_guests; i++)
		if (one(order, argv[i], &err))
			status = cmd_error(&err);
	return status;
}

int cmd_pause(int argc, char **argv)
{
	static const struct order order = {"pause", "stop", CLIENT_TIMEOUT_MS,
					   "Stop the processors of running guests."};

	return give_order(&order, argc, argv);
}

int cmd_resume(int argc, char **argv)
{
	static const struct order order = {"resume", "cont", CLIENT_TIMEOUT_MS,
					   "Let the processors of paused guests run again."};

	return give_order(&order, argc, argv);
}

int cmd_powerdown(int argc, char **argv)
{
	static const struct order order = {
		"powerdown", "system_powerdown", CLIENT_TIMEOUT_MS,
		"Press the power button of guests, and return at once: they end when they like."};

	return give_order(&order, argc, argv);
}

int cmd_quit(int argc, char **argv)
{
	static const struct order order = {
		"quit", "quit", CLIENT_TIMEOUT_MS,
		"End guests without asking them, and wait until their processes are gone."};

	return give_order(&order, argc, argv);
}

int cmd_reset(int argc, char **argv)
{
	static const struct order order = {
		"reset", "x-quire-roll-back", COMMAND_TIMEOUT_MS,
		"Roll guests back to their last checkpoint, or to what they were restored from."};

	return give_order(&order, argc, argv);
}
