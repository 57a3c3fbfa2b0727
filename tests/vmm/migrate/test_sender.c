// SPDX-License-Identifier: Apache-2.0
/*
 * Pages out of a guest over several connections (vmm/migrate/sender.h): that they are packed where
 * the bandwidth is limited, and where it turns out to be small.
 */
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/lib/quiet.h"
#include "tests/mm/engine/mem_fixture.h"
#include "tests/mm/wire/wire_fixture.h"
#include "vmm/migrate/sender.h"

#define PAGES	1024
#define MANY	NR_PAGES
#define STREAMS 2

/* Half of each page is noise, the rest packs to hardly anything; heads of records come on top. */
#define PACKED_SIZE (PAGE_SIZE * 6 / 10)

/* Who reads at the other end, and how long he takes for a MiB. */
struct reader {
	struct wire *wire;
	u64 mib_ns;
};

static void *read_all(void *arg)
{
	const struct reader *r = arg;
	u64 since = now_ns(), bytes = 0;
	struct wire_message msg;

	while (!wire_receive(r->wire, -1, &msg, NULL)) {
		bytes += msg.size;
		while (now_ns() < since + bytes * r->mib_ns / MiB)
			usleep(100);
	}
	return NULL;
}

/* Both ends of each connection, and who reads at the other one. */
struct line {
	struct wire *here[STREAMS];
	struct reader there[STREAMS];
	pthread_t readers[STREAMS];
	u32 nr;
};

static void line_open(struct line *line, u32 nr, u64 mib_ns)
{
	int fds[2];

	line->nr = nr;
	for (u32 i = 0; i < nr; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(wire_wrap(&line->here[i], fds[0], true, "a", 20000, NULL), 0);
		assert_int_equal(wire_wrap(&line->there[i].wire, fds[1], true, "b", 20000, NULL),
				 0);
		line->there[i].mib_ns = mib_ns;
		pthread_create(&line->readers[i], NULL, read_all, &line->there[i]);
	}
}

static void line_close(struct line *line)
{
	for (u32 i = 0; i < line->nr; i++) {
		wire_close(line->here[i]);
		pthread_join(line->readers[i], NULL);
		wire_close(line->there[i].wire);
	}
}

/* How pages are sent. */
struct how {
	u32 pages; /* the first of the guest, all of which were written */
	u32 streams;
	u64 bandwidth;
	u64 mib_ns; /* of each reader */
};

/* Returns how long it took, in ns. */
static u64 send_all(struct guest *g, const struct how *how, struct sender_stats *stats)
{
	const struct sender_config cfg = {g->mem, NR_PAGES, how->bandwidth};
	u64 *pages = calloc(NR_PAGES / 64, sizeof(u64)), since;
	struct err err = {.text = ""};
	struct sender *s;
	struct line line;

	memset(pages, 0xff, how->pages / 8);
	line_open(&line, how->streams, how->mib_ns);
	assert_int_equal(sender_create(&s, &cfg, &err), 0);
	for (u32 i = 0; i < how->streams; i++)
		assert_int_equal(sender_add(s, line.here[i], &err), 0);
	since = now_ns();
	if (sender_send(s, pages, &err))
		fail_msg("%s", err.text);
	since = now_ns() - since;
	sender_get_stats(s, stats);
	sender_destroy(s);
	line_close(&line);
	free(pages);
	return since;
}

/* A limit that is far below what compressing makes: then bytes are all that counts. */
static void pages_compress_under_a_limit(void **state)
{
	const struct mem_config cfg = {.nr_cpus = 1};
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < PAGES; no++)
		write_page(&g, no);
	for (u32 n = 1; n <= STREAMS; n++) {
		const struct how how = {.pages = PAGES, .streams = n, .bandwidth = 8 * MiB};
		struct sender_stats stats;
		u64 took = send_all(&g, &how, &stats);

		print_message("%u streams: %llu pages packed, %llu raw; %llu bytes in %llu ms\n", n,
			      (unsigned long long)stats.batch.packed,
			      (unsigned long long)stats.batch.raw, (unsigned long long)stats.bytes,
			      (unsigned long long)took / 1000000);
		assert_int_equal(stats.batch.pages, PAGES);
		assert_true(stats.batch.packed > PAGES * 9 / 10);
		assert_true(stats.bytes < PAGES * PACKED_SIZE);
		assert_true((double)stats.bytes * 1e9 / (double)took < 1.1 * (double)how.bandwidth);
	}
	guest_close(&g);
}

/* 64 MiB a second, of which nobody has said anything. */
static void pages_compress_on_a_slow_line(void **state)
{
	const struct how how = {.pages = MANY, .streams = 1, .mib_ns = 1000000000 / 64};
	const struct mem_config cfg = {.nr_cpus = 1};
	struct sender_stats stats;
	u64 since, quiet;
	struct guest g;

	(void)state;
	guest_open(&g, &cfg);
	for (u32 no = 0; no < MANY; no++)
		write_page(&g, no);
	since = now_ns();
	quiet = quiet_ns();
	send_all(&g, &how, &stats);
	quiet = quiet_ns() - quiet;
	since = now_ns() - since;
	print_message("%llu pages packed, %llu raw\n", (unsigned long long)stats.batch.packed,
		      (unsigned long long)stats.batch.raw);
	assert_int_equal(stats.batch.pages, MANY);
	assert_true(stats.batch.packed > 0);
	assert_true(stats.batch.raw > 0); /* how else would it know */
	/* to a sender that must wait for a processor the line is not the slow part */
	if (quiet * 2 > since)
		assert_true(stats.batch.packed > MANY / 2);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_compress_under_a_limit),
		cmocka_unit_test(pages_compress_on_a_slow_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
