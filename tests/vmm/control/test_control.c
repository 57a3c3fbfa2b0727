// SPDX-License-Identifier: Apache-2.0
/*
 * The control socket of vmm/control/control.h with real sockets and a real loop, on a fake machine.
 * Server and clients share this thread: a client's request is answered while the test turns the
 * loop.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "tests/lib/fake_machine.h"
#include "vmm/control/control.h"

#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"
#define QUERY	  "{\"execute\": \"query-name\"}\n"
#define NAME	  "{\"return\": {\"name\": \"fake\"}}\r\n"

struct host {
	struct machine machine;
	uv_loop_t loop;
	struct control *control;
	char dir[64], path[108];
};

static void on_event(void *opaque, enum machine_event event, enum shutdown_cause cause)
{
	struct host *h = opaque;

	control_event(h->control, event, cause);
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));
	struct err err;

	h->machine = FAKE_MACHINE;
	strcpy(h->dir, "/tmp/quire-control-XXXXXX");
	if (!mkdtemp(h->dir) || uv_loop_init(&h->loop))
		return -1;
	snprintf(h->path, sizeof(h->path), "%s/vm.qmp", h->dir);
	machine_listen(&h->machine, on_event, h);
	*state = h;
	return control_create(&h->control, &h->loop, &h->machine, h->path, &err);
}

/* End the service, unless the test did; everything must be gone then, on disk and in the loop. */
static int teardown(void **state)
{
	struct host *h = *state;
	int ret;

	if (h->control)
		control_destroy(h->control);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	ret = uv_loop_close(&h->loop);
	if (!ret)
		ret = rmdir(h->dir);
	free(h);
	return ret;
}

/* Turn the loop until nothing happens any more. */
static void turn(struct host *h)
{
	for (int i = 0; i < 50; i++)
		uv_run(&h->loop, UV_RUN_NOWAIT);
}

static int dial(const struct host *h)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, h->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/*
 * Read what is there into @buf, with a final NUL. Returns the number of bytes; *ended tells whether
 * the server has hung up after them.
 */
static size_t hear(int fd, char *buf, size_t size, bool *ended)
{
	size_t len = 0;
	ssize_t n;

	do {
		assert_true(len < size - 1);
		n = recv(fd, buf + len, size - 1 - len, 0);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0);
	buf[len] = '\0';
	*ended = !n || errno != EAGAIN;
	return len;
}

/* Everything heard must be exactly @text, on a connection that stays. */
static void expect(int fd, const char *text)
{
	static char buf[64 * 1024];
	bool ended;

	hear(fd, buf, sizeof(buf), &ended);
	assert_string_equal(buf, text);
	assert_false(ended);
}

/* A client that has negotiated and heard everything up to there. */
static int dial_negotiated(struct host *h)
{
	static char buf[64 * 1024];
	int fd = dial(h);
	bool ended;

	say(fd, NEGOTIATE);
	turn(h);
	hear(fd, buf, sizeof(buf), &ended);
	assert_memory_equal(buf, "{\"QMP\": ", 8);
	assert_non_null(strstr(buf, "\r\n{\"return\": {}}\r\n"));
	return fd;
}

static unsigned int count(const char *text, const char *part)
{
	unsigned int n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

/* ---- Ordinary life ---- */

static void serves_at_a_private_socket(void **state)
{
	struct host *h = *state;
	struct stat st;
	int fd;

	assert_int_equal(stat(h->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	fd = dial_negotiated(h);
	say(fd, QUERY);
	turn(h);
	expect(fd, NAME);
	say(fd, "{\"execute\": \"query-");
	turn(h);
	expect(fd, "");
	say(fd, "name\"}\n");
	turn(h);
	expect(fd, NAME);
	close(fd);
}

static void tells_every_client(void **state)
{
	static char buf[64 * 1024];
	struct host *h = *state;
	int fds[CONTROL_MAX_CLIENTS];
	bool ended;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial_negotiated(h);
	say(fds[3], "{\"execute\": \"stop\"}");
	turn(h);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		hear(fds[i], buf, sizeof(buf), &ended);
		assert_int_equal(count(buf, "\"event\": \"STOP\""), 1);
		assert_int_equal(count(buf, "\"return\""), i == 3);
		close(fds[i]);
	}
}

static void bounds_the_number_of_clients(void **state)
{
	struct host *h = *state;
	int fds[CONTROL_MAX_CLIENTS], more;
	char buf[1024];
	bool ended;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial_negotiated(h);
	more = dial(h);
	turn(h);
	hear(more, buf, sizeof(buf), &ended);
	assert_string_equal(
		buf,
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"too many clients\"}}\r\n");
	assert_true(ended);
	close(more);

	close(fds[5]);
	turn(h);
	fds[5] = dial_negotiated(h);
	say(fds[0], QUERY);
	turn(h);
	expect(fds[0], NAME);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* How many replies come to one who says @nr_requests at once and then that this was all. */
static unsigned int replies_to_all(struct host *h, unsigned int nr_requests)
{
	static const char request[] = "{\"execute\": \"query-commands\"}\n";
	static char buf[1 * MiB], requests[1000 * sizeof(request)];
	unsigned int nr_lines = 0;
	bool ended = false;
	int fd = dial_negotiated(h);

	requests[0] = '\0';
	for (unsigned int i = 0; i < nr_requests; i++)
		strcat(requests, request);
	say(fd, requests);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 1000 && !ended; i++) {
		turn(h);
		hear(fd, buf, sizeof(buf), &ended);
		nr_lines += count(buf, "\n");
	}
	assert_true(ended);
	close(fd);
	return nr_lines;
}

/*
 * As `printf ... | socat - UNIX-CONNECT:...` does. From few to many, so that there are cases where
 * the end is seen while replies still wait for room in the socket.
 */
static void answers_one_who_has_said_all(void **state)
{
	for (unsigned int n = 1; n <= 1000; n += 27)
		assert_int_equal(replies_to_all(*state, n), n);
}

/* More than a socket holds: what had to wait is sent as the client reads, without his asking. */
static void events_wait_for_a_slow_reader(void **state)
{
	static char buf[1 * MiB];
	struct host *h = *state;
	int fd = dial_negotiated(h);
	unsigned int nr_lines = 0;
	bool ended;

	for (int i = 0; i < 8000; i++)
		on_event(h, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
	while (hear(fd, buf, sizeof(buf), &ended)) {
		nr_lines += count(buf, "\n");
		turn(h);
	}
	assert_false(ended);
	assert_int_equal(nr_lines, 8000);
	close(fd);
}

/* What one who can be patient hears, until @end or for a bounded time. */
static size_t hear_until(struct host *h, int fd, char *buf, size_t size, const char *end)
{
	size_t len = 0;
	bool ended;

	for (int i = 0; i < 1000 && (len < strlen(end) || strcmp(buf + len - strlen(end), end));
	     i++) {
		turn(h);
		len += hear(fd, buf + len, size - len, &ended);
	}
	return len;
}

static void tells_of_memory(void **state)
{
	const struct mem_event event = {.kind = MEM_EV_THRASH, .limit = 4096, .stall = 0.5};
	struct host *h = *state;
	int fd = dial_negotiated(h), shy = dial(h);
	char buf[4096];
	bool ended;

	turn(h);
	hear(shy, buf, sizeof(buf), &ended);
	control_memory_event(h->control, &event);
	hear_until(h, fd, buf, sizeof(buf), "\r\n");
	assert_int_equal(count(buf, "\n"), 1);
	assert_non_null(
		strstr(buf, "\"event\": \"X_QUIRE_THRASHING\", \"data\": {\"limit\": 4096, "));
	/* who has not negotiated hears nothing */
	expect(shy, "");
	close(fd);
	close(shy);
}

/* The longest reply there is: a map with the largest number of cells that a request can have. */
static void delivers_a_whole_map(void **state)
{
	static char buf[4 * MiB];
	struct host *h = *state;
	int fd = dial_negotiated(h);
	size_t len;

	say(fd, "{\"execute\": \"x-quire-memory\", \"arguments\": {\"map\": 65536}}" QUERY);
	len = hear_until(h, fd, buf, sizeof(buf), NAME);
	assert_true(len > 2 * MiB);
	assert_int_equal(count(buf, "\n"), 2);
	assert_non_null(strstr(buf, "[65535, 65536, 65537, 65538, 65539, 65540]]"));
	close(fd);
}

/* ---- Clients that misbehave ---- */

/* Thousands of requests before the first reply is read: all are answered, none costs us memory. */
static void one_who_asks_without_listening_waits(void **state)
{
	static char buf[1 * MiB];
	enum { NR_REQUESTS = 20000 };
	struct host *h = *state;
	unsigned int sent = 0, answered = 0;
	bool ended = false;
	int fd = dial_negotiated(h);

	while (sent < NR_REQUESTS && send(fd, QUERY, strlen(QUERY), MSG_NOSIGNAL) > 0)
		sent++;
	turn(h);
	for (int quiet = 0; quiet < 10; quiet++) {
		if (hear(fd, buf, sizeof(buf), &ended))
			quiet = 0;
		assert_false(ended);
		answered += count(buf, "\n");
		while (sent < NR_REQUESTS && send(fd, QUERY, strlen(QUERY), MSG_NOSIGNAL) > 0)
			sent++;
		turn(h);
	}
	assert_int_equal(sent, NR_REQUESTS);
	assert_int_equal(answered, NR_REQUESTS);
	close(fd);
}

static void one_who_never_listens_is_dropped(void **state)
{
	static char buf[4 * MiB];
	struct host *h = *state;
	int deaf = dial_negotiated(h), good = dial_negotiated(h);
	unsigned int dropped_at = 0;
	bool ended;

	for (unsigned int i = 1; i <= CONTROL_OUT_MAX / 40 && !dropped_at; i++) {
		on_event(h, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
		if (i % 100)
			continue;
		hear(good, buf, sizeof(buf), &ended);
		assert_int_equal(count(buf, "\"STOP\""), 100);
		turn(h);
		/* a connection that was dropped takes no more; one that nobody reads is full */
		if (send(deaf, " ", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			dropped_at = i;
	}
	assert_in_range(dropped_at, CONTROL_OUT_MAX / 100, 2 * CONTROL_OUT_MAX / 80);
	hear(deaf, buf, sizeof(buf), &ended);
	assert_true(ended);
	say(good, QUERY);
	turn(h);
	expect(good, NAME);
	close(deaf);
	close(good);
}

/* The event that his own request raises is what finds him gone. */
static void one_dropped_by_his_own_request(void **state)
{
	struct host *h = *state;
	int fd = dial_negotiated(h);

	say(fd, "{\"execute\": \"stop\"}" QUERY QUERY);
	close(fd);
	turn(h);
	assert_int_equal(machine_state(&h->machine), MACHINE_PAUSED);
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		/* his slot is free again, each time */
		fd = dial_negotiated(h);
		say(fd, i % 2 ? "{\"execute\": \"stop\"}" : "{\"execute\": \"cont\"}");
		close(fd);
		turn(h);
	}
	close(dial_negotiated(h));
}

static void vanishing_clients_do_no_harm(void **state)
{
	struct host *h = *state;
	struct linger now = {.l_onoff = 1};

	for (int i = 0; i < 200; i++) {
		int fd = dial(h);

		if (i % 4 > 0)
			say(fd, i % 4 > 1 ? NEGOTIATE QUERY QUERY : "{\"execute\"");
		if (i % 3)
			turn(h);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		if (i % 5 == 0)
			on_event(h, MACHINE_EV_RESUME, SHUTDOWN_BY_NONE);
		turn(h);
	}
	close(dial_negotiated(h));
}

static void lack_of_descriptors_is_survived(void **state)
{
	enum { LIMIT = 64 };
	struct host *h = *state;
	struct rlimit old, low;
	int good = dial_negotiated(h), unlucky = dial(h), fillers[LIMIT];
	unsigned int nr_fillers = 0;
	char buf[4096];
	bool ended;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while ((fillers[nr_fillers] = dup(unlucky)) >= 0)
		nr_fillers++;
	turn(h);
	hear(unlucky, buf, sizeof(buf), &ended);
	assert_string_equal(buf, "");
	assert_true(ended);
	say(good, QUERY);
	turn(h);
	expect(good, NAME);
	while (nr_fillers)
		close(fillers[--nr_fillers]);
	setrlimit(RLIMIT_NOFILE, &old);
	close(unlucky);
	close(good);
	close(dial_negotiated(h));
}

/* ---- The end ---- */

static void destroy(struct host *h)
{
	control_destroy(h->control);
	h->control = NULL;
	machine_listen(&h->machine, NULL, NULL);
}

static void leaves_nothing_behind(void **state)
{
	struct host *h = *state;
	struct stat st;
	char buf[64];
	bool ended;
	int fd = dial_negotiated(h);

	destroy(h);
	assert_int_equal(stat(h->path, &st), -1);
	hear(fd, buf, sizeof(buf), &ended);
	assert_string_equal(buf, "");
	assert_true(ended);
	close(fd);
}

struct reader {
	int fd;
	unsigned int nr_stops, nr_shutdowns;
};

/* Read to the end, slowly enough that the server has to wait for us. */
static void *read_to_the_end(void *opaque)
{
	struct reader *r = opaque;
	FILE *f = fdopen(r->fd, "r");
	char line[1024];

	usleep(100 * 1000);
	while (fgets(line, sizeof(line), f)) {
		r->nr_stops += count(line, "\"STOP\"");
		r->nr_shutdowns += count(line, "\"SHUTDOWN\"");
	}
	fclose(f);
	return NULL;
}

/* More is queued than the socket takes, and still the last event arrives. */
static void the_last_words_are_heard(void **state)
{
	enum { NR_STOPS = 8000 };
	struct host *h = *state;
	struct reader r = {.fd = dial_negotiated(h)};
	pthread_t thread;

	for (int i = 0; i < NR_STOPS; i++)
		on_event(h, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
	machine_quit(&h->machine, SHUTDOWN_BY_SIGNAL);
	assert_int_equal(fcntl(r.fd, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &r), 0);
	destroy(h);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.nr_stops, NR_STOPS);
	assert_int_equal(r.nr_shutdowns, 1);
}

static void the_deaf_do_not_hold_up_the_end(void **state)
{
	struct host *h = *state;
	int fd = dial_negotiated(h);
	u64 start;

	for (int i = 0; i < 8000; i++)
		on_event(h, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
	start = uv_hrtime();
	destroy(h);
	assert_in_range((uv_hrtime() - start) / 1000000, 900, 3000);
	close(fd);
}

/* ---- The beginning ---- */

static void one_server_at_a_path(void **state)
{
	struct host *h = *state;
	struct control *second;
	struct err err;

	assert_int_equal(control_create(&second, &h->loop, &h->machine, h->path, &err),
			 -EADDRINUSE);
	assert_non_null(strstr(err.text, "in use by process"));
	close(dial_negotiated(h));
}

static void failures_leave_nothing(void **state)
{
	struct host *h = *state;
	struct control *second;
	char path[256];
	struct err err;
	int fd;

	snprintf(path, sizeof(path), "%s/none/vm.qmp", h->dir);
	assert_int_equal(control_create(&second, &h->loop, &h->machine, path, &err), -ENOENT);
	snprintf(path, sizeof(path), "%s/%0150d", h->dir, 0);
	assert_int_equal(control_create(&second, &h->loop, &h->machine, path, &err), -ENAMETOOLONG);
	snprintf(path, sizeof(path), "%s/file", h->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(control_create(&second, &h->loop, &h->machine, path, &err), -EEXIST);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(serves_at_a_private_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_every_client, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_the_number_of_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_one_who_has_said_all, setup, teardown),
		cmocka_unit_test_setup_teardown(events_wait_for_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(delivers_a_whole_map, setup, teardown),
		cmocka_unit_test_setup_teardown(one_who_asks_without_listening_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_who_never_listens_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(one_dropped_by_his_own_request, setup, teardown),
		cmocka_unit_test_setup_teardown(vanishing_clients_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(lack_of_descriptors_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_words_are_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(the_deaf_do_not_hold_up_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(one_server_at_a_path, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_leave_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
