// SPDX-License-Identifier: Apache-2.0
/*
 * A bad network between two addresses, for tests of what goes through connections:
 *
 *	proxy LISTEN CONNECT [--rate BYTES/S] [--delay MS] [--reorder MS]
 *	      [--cut-after BYTES] [--stall-after BYTES] [--flip-after BYTES]
 *
 * An address is tcp:HOST:PORT or unix:PATH. Each connection to LISTEN gets one to CONNECT, both
 * ways with all their bytes. The options are for what goes from LISTEN to CONNECT, all connections
 * counted together: no more than so many bytes a second; each byte later by so much; each later by
 * at most so much, as drawn, so that connections overtake each other; all
 * connections cut after so many bytes, once; nothing more passed on after so many; the lowest bit
 * of the byte after so many flipped. SIGUSR1 cuts all present connections, SIGUSR2 stalls both ways
 * or goes on, SIGTERM ends. "ready" is printed when LISTEN listens, "stalled" when so many bytes
 * are through, and the count of bytes at the end.
 *
 * One thread, and a poll() that waits a millisecond while bytes are held: what is passed on is in
 * order and whole, and the proxy alone decides what is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "mm/base/clock.h"

#define MAX_LINKS 64
#define HELD	  (4u << 20) /* bytes on their way in one direction of one connection */
#define BATCHES	  1024	     /* of one time each, in which they came */
#define NONE	  UINT64_MAX
#define MS	  ((u64)1000000)
#define SECOND	  (1000 * MS)

/* One direction of a connection: a ring of bytes, and when which of them may go on. */
struct pipe_end {
	int from, to;
	bool forward; /* from LISTEN to CONNECT: what the options are for */
	bool closed;  /* no more comes in */
	bool shut;    /* and that has been passed on */
	size_t head, held;
	struct {
		size_t bytes;
		u64 due_ns;
	} batch[BATCHES];
	size_t first_batch, nr_batches;
	u8 ring[HELD];
};

struct link {
	struct pipe_end way[2]; /* there and back */
};

static struct proxy {
	const char *connect_to;
	u64 rate, delay_ns, reorder_ns, cut_after, stall_after, flip_after;
	u64 came, went; /* bytes from LISTEN, bytes to CONNECT */
	u64 refilled_ns, allowance;
	bool stalled;
	struct link *links[MAX_LINKS];
} proxy = {.cut_after = NONE, .stall_after = NONE, .flip_after = NONE};

static volatile sig_atomic_t cut_wanted, stall_wanted, end_wanted;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		cut_wanted = 1;
	else if (sig == SIGUSR2)
		stall_wanted = !stall_wanted;
	else
		end_wanted = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- addresses --- */

static int unix_socket(const char *path, bool listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		die(path);
	memcpy(address.sun_path, path, strlen(path));
	if (listening)
		unlink(path);
	ret = listening ? bind(fd, (struct sockaddr *)&address, sizeof(address))
			: connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (!ret)
		return fd;
	close(fd);
	return -1;
}

static int tcp_socket(const char *host_port, bool listening)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
	const char *port = strrchr(host_port, ':');
	char host[256] = "";
	int fd, ret, one = 1;

	if (!port || (size_t)(port - host_port) >= sizeof(host))
		die(host_port);
	memcpy(host, host_port, (size_t)(port - host_port));
	if (getaddrinfo(host, port + 1, &hints, &found))
		die(host_port);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = listening ? bind(fd, found->ai_addr, found->ai_addrlen)
			: connect(fd, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	if (!ret)
		return fd;
	close(fd);
	return -1;
}

/* Returns a socket that is bound or connected, or -1. */
static int open_address(const char *address, bool listening)
{
	if (!strncmp(address, "unix:", 5))
		return unix_socket(address + 5, listening);
	if (!strncmp(address, "tcp:", 4))
		return tcp_socket(address + 4, listening);
	errno = EINVAL;
	die(address);
	return -1;
}

/* --- connections --- */

static void prepare(int fd)
{
	int one = 1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails for unix: so be it */
}

static void accept_link(int listener)
{
	int one = accept4(listener, NULL, NULL, SOCK_CLOEXEC), other = -1;
	struct link *link;
	size_t i = 0;

	if (one < 0)
		return;
	while (i < MAX_LINKS && proxy.links[i])
		i++;
	link = i < MAX_LINKS ? calloc(1, sizeof(*link)) : NULL;
	if (link)
		other = open_address(proxy.connect_to, false);
	if (other < 0) {
		free(link);
		close(one);
		return;
	}
	proxy.links[i] = link;
	prepare(one);
	prepare(other);
	link->way[0] = (struct pipe_end){.from = one, .to = other, .forward = true};
	link->way[1] = (struct pipe_end){.from = other, .to = one};
}

/* @abort: what is on its way is lost, and the peers see a reset where there is such a thing. */
static void close_link(size_t i, bool abort)
{
	struct linger at_once = {.l_onoff = 1};
	struct link *link = proxy.links[i];

	for (int w = 0; w < 2; w++) {
		if (abort)
			setsockopt(link->way[w].from, SOL_SOCKET, SO_LINGER, &at_once,
				   sizeof(at_once));
		close(link->way[w].from);
	}
	free(link);
	proxy.links[i] = NULL;
}

static void cut_all(void)
{
	for (size_t i = 0; i < MAX_LINKS; i++)
		if (proxy.links[i])
			close_link(i, true);
}

/* --- bytes --- */

/* When bytes that have come now may go on: not before those that their connection has already. */
static u64 due(const struct pipe_end *way, u64 now)
{
	u64 at = now + proxy.delay_ns, before;

	if (proxy.reorder_ns)
		at += (u64)random() % proxy.reorder_ns;
	if (!way->nr_batches)
		return at;
	before = way->batch[(way->first_batch + way->nr_batches - 1) % BATCHES].due_ns;
	return at > before ? at : before;
}

/* Bytes came in at @at, @n of them; they are looked at before they can go on. */
static void take_in(struct pipe_end *way, u8 *at, size_t n, u64 now)
{
	size_t last = (way->first_batch + way->nr_batches) % BATCHES;

	if (way->forward && proxy.flip_after >= proxy.came && proxy.flip_after < proxy.came + n)
		at[proxy.flip_after - proxy.came] ^= 1;
	if (way->forward)
		proxy.came += n;
	way->held += n;
	way->batch[last].bytes = n;
	way->batch[last].due_ns = way->forward ? due(way, now) : now;
	way->nr_batches++;
}

/* Returns whether the connection is still good. */
static bool read_some(struct pipe_end *way, u64 now)
{
	size_t tail = (way->head + way->held) % HELD;
	size_t room = HELD - way->held < HELD - tail ? HELD - way->held : HELD - tail;
	ssize_t n;

	if (way->closed || !room || way->nr_batches == BATCHES)
		return true;
	n = read(way->from, way->ring + tail, room);
	if (n > 0)
		take_in(way, way->ring + tail, (size_t)n, now);
	if (!n)
		way->closed = true;
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* How many of @n bytes may go to CONNECT now. */
static u64 allowed(u64 n)
{
	u64 most = n;

	if (proxy.rate && proxy.allowance < most)
		most = proxy.allowance;
	if (proxy.stall_after != NONE && proxy.stall_after - proxy.went < most)
		most = proxy.stall_after - proxy.went;
	if (proxy.cut_after != NONE && proxy.cut_after - proxy.went < most)
		most = proxy.cut_after - proxy.went;
	return most;
}

static void account(struct pipe_end *way, size_t n)
{
	way->head = (way->head + n) % HELD;
	way->held -= n;
	way->batch[way->first_batch].bytes -= n;
	if (!way->batch[way->first_batch].bytes) {
		way->first_batch = (way->first_batch + 1) % BATCHES;
		way->nr_batches--;
	}
	if (!way->forward)
		return;
	proxy.went += n;
	if (proxy.went == proxy.stall_after) {
		printf("stalled\n");
		fflush(stdout);
	}
	if (proxy.rate)
		proxy.allowance -= n;
}

static bool write_some(struct pipe_end *way, u64 now)
{
	size_t n = HELD - way->head;
	ssize_t done;

	if (!way->nr_batches) {
		if (way->closed && !way->shut)
			shutdown(way->to, SHUT_WR);
		way->shut = way->closed;
		return true;
	}
	if (now < way->batch[way->first_batch].due_ns)
		return true;
	if (way->batch[way->first_batch].bytes < n)
		n = way->batch[way->first_batch].bytes;
	if (way->forward)
		n = allowed(n);
	if (!n)
		return true;
	done = send(way->to, way->ring + way->head, n, MSG_NOSIGNAL);
	if (done > 0)
		account(way, (size_t)done);
	return done >= 0 || errno == EAGAIN || errno == EINTR;
}

/* All that may go now: what came in at one time must not wait for another turn of the loop. */
static bool write_all(struct pipe_end *way, u64 now)
{
	size_t before;
	bool good;

	do {
		before = way->held;
		good = write_some(way, now);
	} while (good && way->held < before);
	return good;
}

/* Both directions of one connection, as far as they go now. */
static void serve(size_t i, u64 now)
{
	struct link *link = proxy.links[i];
	bool good = true, over = true;

	for (int w = 0; w < 2 && good; w++) {
		good = read_some(&link->way[w], now) && write_all(&link->way[w], now);
		over = over && link->way[w].shut;
	}
	if (!good || over)
		close_link(i, !good);
}

/* Ten milliseconds' worth can be saved up, so that a slow loop does not make a slower rate. */
static void refill(u64 now)
{
	u64 ns = now - proxy.refilled_ns, most = proxy.rate / 100 + 1;

	if (!proxy.rate || ns * proxy.rate < SECOND)
		return;
	proxy.allowance += (u64)((double)ns * (double)proxy.rate / SECOND);
	if (proxy.allowance > most)
		proxy.allowance = most;
	proxy.refilled_ns = now;
}

/* --- the loop --- */

/* What there is to wait for; a connection that only time can move is not waited for. */
static nfds_t gather(struct pollfd *fds, int listener)
{
	nfds_t n = 0;

	fds[n++] = (struct pollfd){.fd = listener, .events = POLLIN};
	for (size_t i = 0; i < MAX_LINKS && !proxy.stalled; i++) {
		for (int w = 0; w < 2 && proxy.links[i]; w++) {
			const struct pipe_end *way = &proxy.links[i]->way[w];

			if (!way->closed && way->held < HELD && way->nr_batches < BATCHES)
				fds[n++] = (struct pollfd){.fd = way->from, .events = POLLIN};
		}
	}
	return n;
}

static bool anything_held(void)
{
	for (size_t i = 0; i < MAX_LINKS; i++)
		if (proxy.links[i] && (proxy.links[i]->way[0].held || proxy.links[i]->way[1].held))
			return true;
	return false;
}

static void obey(void)
{
	if (cut_wanted) {
		cut_wanted = 0;
		cut_all();
	}
	if (proxy.cut_after != NONE && proxy.went >= proxy.cut_after) {
		proxy.cut_after = NONE;
		cut_all();
	}
	proxy.stalled = stall_wanted;
}

static void loop(int listener)
{
	struct pollfd fds[1 + 2 * MAX_LINKS];

	while (!end_wanted) {
		nfds_t n = gather(fds, listener);
		u64 now;

		if (poll(fds, n, anything_held() ? 1 : 50) < 0 && errno != EINTR)
			die("poll");
		now = now_ns();
		refill(now);
		if (fds[0].revents & POLLIN)
			accept_link(listener);
		for (size_t i = 0; i < MAX_LINKS && !proxy.stalled; i++)
			if (proxy.links[i])
				serve(i, now);
		obey();
	}
}

static bool set_option(const char *name, const char *text)
{
	static const struct {
		const char *name;
		u64 *value, unit;
	} options[] = {
		{"--rate", &proxy.rate, 1},
		{"--delay", &proxy.delay_ns, MS},
		{"--reorder", &proxy.reorder_ns, MS},
		{"--cut-after", &proxy.cut_after, 1},
		{"--stall-after", &proxy.stall_after, 1},
		{"--flip-after", &proxy.flip_after, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(name, options[i].name))
			continue;
		*options[i].value = strtoull(text, NULL, 10) * options[i].unit;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	bool good = argc >= 3 && argc % 2;
	int listener;

	for (int i = 3; good && i < argc; i += 2)
		good = set_option(argv[i], argv[i + 1]);
	if (!good) {
		fprintf(stderr,
			"usage: proxy LISTEN CONNECT [--rate BYTES/S] [--delay MS] [--reorder MS] "
			"[--cut-after BYTES] [--stall-after BYTES] [--flip-after BYTES]\n");
		return 2;
	}
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	proxy.connect_to = argv[2];
	proxy.refilled_ns = now_ns();
	listener = open_address(argv[1], true);
	if (listener < 0 || listen(listener, MAX_LINKS))
		die(argv[1]);
	printf("ready\n");
	fflush(stdout);
	loop(listener);
	cut_all();
	printf("%llu bytes\n", (unsigned long long)proxy.went);
	return 0;
}
