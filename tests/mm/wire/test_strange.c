// SPDX-License-Identifier: Apache-2.0
/*
 * What can go wrong with a connection: strangers, silence, damaged streams, descriptors that nobody
 * asked for. The other side is a plain socket, which speaks the format by itself.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "tests/lib/descriptors.h"
#include "tests/mm/wire/wire_fixture.h"

/* ---- Strangers ---- */

/* A plain socket that connects to a listener of @cfg, and greets if it @greets. */
struct stranger {
	struct wire_listener *listener;
	struct acceptor acceptor;
	pthread_t thread;
	int fd;
};

static const struct wire_greeting greeting = {.magic = WIRE_MAGIC, .version = WIRE_VERSION};

static void put(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static int come(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, unix_address + 5);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void stranger_comes(struct stranger *s, const struct wire_config *cfg,
			   struct wire_message *first)
{
	assert_int_equal(wire_listen(&s->listener, unix_address, cfg, NULL), 0);
	s->acceptor = (struct acceptor){.l = s->listener, .first = first, .timeout_ms = -1};
	pthread_create(&s->thread, NULL, accept_one, &s->acceptor);
	s->fd = come();
}

/* What accepting it came to. */
static int stranger_is_met(struct stranger *s)
{
	pthread_join(s->thread, NULL);
	return s->acceptor.ret;
}

static void stranger_goes(struct stranger *s)
{
	if (!s->acceptor.ret)
		wire_close(s->acceptor.w);
	if (s->fd >= 0)
		close(s->fd);
	wire_unlisten(s->listener);
}

/* Any connection will do that reads what is written to @fd: one without the listener's trouble. */
static struct wire *reader_of(int *fd, u32 timeout_ms)
{
	struct wire *w;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_int_equal(wire_wrap(&w, fds[0], true, "test", timeout_ms, NULL), 0);
	*fd = fds[1];
	return w;
}

static void test_strange_greetings(void **state)
{
	struct wire_greeting g[4] = {greeting, greeting, greeting, greeting};
	static const int codes[] = {-EBADMSG, -EBADMSG, -EBADMSG, -EACCES};
	struct stranger s;

	(void)state;
	g[0].magic[3] ^= 1;
	g[1].version++;
	g[2].flags = 2;
	g[3].flags = WIRE_HAS_TLS;
	for (u32 i = 0; i < ARRAY_SIZE(g); i++) {
		stranger_comes(&s, &plain, NULL);
		put(s.fd, &g[i], sizeof(g[i]));
		assert_int_equal(stranger_is_met(&s), codes[i]);
		assert_true(s.acceptor.err.text[0]);
		stranger_goes(&s);
	}
	/* it waits for an answer, and is told from its first bytes */
	stranger_comes(&s, &plain, NULL);
	put(s.fd, "GET ", 4);
	assert_int_equal(stranger_is_met(&s), -EBADMSG);
	stranger_goes(&s);
	/* with a key on this side, everything after the greeting is TLS or nothing */
	stranger_comes(&s, &with_key, NULL);
	g[3].flags = WIRE_HAS_TLS;
	put(s.fd, &g[3], sizeof(g[3]));
	put(s.fd, "this is not what a client of TLS says", 37);
	assert_int_equal(stranger_is_met(&s), -EACCES);
	stranger_goes(&s);
}

static void test_silent_strangers(void **state)
{
	const struct wire_config quick = {.timeout_ms = 100};
	struct stranger s;
	struct wire *w;
	u64 start = now_ns();

	(void)state;
	for (size_t n = 0; n < sizeof(greeting); n += 5) {
		stranger_comes(&s, &quick, NULL);
		put(s.fd, &greeting, n);
		assert_int_equal(stranger_is_met(&s), -ETIMEDOUT);
		stranger_goes(&s);
	}
	assert_true(now_ns() - start >= 400 * 1000000u);
	/* one that hangs up is passed over, wherever it does, and the next is welcome */
	for (size_t n = 0; n < sizeof(greeting); n += 5) {
		stranger_comes(&s, &plain, NULL);
		put(s.fd, &greeting, n);
		close(s.fd);
		s.fd = -1;
		assert_int_equal(wire_connect(&w, unix_address, &plain, NULL), 0);
		assert_int_equal(stranger_is_met(&s), 0);
		wire_close(w);
		stranger_goes(&s);
	}
}

/* ---- Several strangers at once ---- */

/* Whether the other side has hung up. */
static bool is_over(int fd)
{
	u8 bytes[256];
	ssize_t n;

	do
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return !n || errno != EAGAIN;
}

static void put_first(int fd, u32 type, u32 size)
{
	static u8 payload[WIRE_FIRST_SIZE + 1];
	const struct wire_header h = {type, size, wire_sum(type, payload, size)};

	put(fd, &greeting, sizeof(greeting));
	put(fd, &h, sizeof(h));
	put(fd, payload, size);
}

/* They are handed out as they have said something, whoever came before; and none is lost. */
static void test_first_messages(void **state)
{
	struct wire_listener *l;
	struct wire_message msg;
	struct wire *w;
	int fds[5];

	(void)state;
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = come();
	assert_int_equal(wire_accept(l, 20, &w, &msg, NULL), -ETIMEDOUT);
	for (u32 i = ARRAY_SIZE(fds); i-- > 1;)
		put_first(fds[i], 100 + i, i);
	for (u32 i = 1, seen = 0; i < ARRAY_SIZE(fds); i++, seen |= 1u << msg.size) {
		assert_int_equal(wire_accept(l, QUICK, &w, &msg, NULL), 0);
		assert_int_equal(msg.type, 100 + msg.size);
		assert_in_range(msg.size, 1, 4);
		assert_false(seen & 1u << msg.size);
		assert_int_equal(msg.fd, -1);
		wire_close(w);
	}
	assert_int_equal(wire_accept(l, 0, &w, &msg, NULL), -ETIMEDOUT);
	/* as long as it may be, and longer */
	put_first(fds[0], 9, WIRE_FIRST_SIZE);
	assert_int_equal(wire_accept(l, QUICK, &w, &msg, NULL), 0);
	assert_int_equal(msg.size, WIRE_FIRST_SIZE);
	wire_close(w);
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	fds[0] = come();
	put_first(fds[0], 9, WIRE_FIRST_SIZE + 1);
	assert_int_equal(wire_accept(l, QUICK, &w, &msg, NULL), -EBADMSG);
	close(fds[0]);
	wire_unlisten(l);
}

/* All of it has one deadline: a byte now and then does not put it off. */
static void test_dripping(void **state)
{
	const struct wire_config quick = {.timeout_ms = 200};
	const struct wire_header h = {.type = 1, .size = 100};
	struct wire_message msg;
	struct stranger s;
	u64 start = now_ns(), quiet = quiet_ns();

	(void)state;
	stranger_comes(&s, &quick, &msg);
	put(s.fd, &greeting, sizeof(greeting));
	put(s.fd, &h, sizeof(h));
	for (u32 i = 0; i < 50 && !is_over(s.fd); i++) {
		send(s.fd, "x", 1, MSG_NOSIGNAL);
		poll(NULL, 0, 20);
	}
	assert_int_equal(stranger_is_met(&s), -ETIMEDOUT);
	assert_true(now_ns() - start >= 200 * 1000000u);
	assert_true(quiet_ns() - quiet < 900 * 1000000u);
	stranger_goes(&s);
}

/* There is always room for one more: who came first goes, and nobody else. */
static void test_too_many(void **state)
{
	int fds[WIRE_MOST_WAITING + 3];
	struct wire_listener *l;
	struct wire_message msg;
	struct wire *w;

	(void)state;
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = come();
		assert_int_equal(wire_accept(l, 2, &w, &msg, NULL), -ETIMEDOUT);
	}
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(is_over(fds[i]), i < 3);
	put_first(fds[3], 1, 0);
	assert_int_equal(wire_accept(l, QUICK, &w, &msg, NULL), 0);
	wire_close(w);
	wire_unlisten(l);
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_true(is_over(fds[i]));
		close(fds[i]);
	}
}

static void test_stop_listening(void **state)
{
	struct wire_listener *l;
	struct acceptor a = {.timeout_ms = -1};
	struct stranger s;
	pthread_t thread;
	struct wire *w;

	(void)state;
	assert_int_equal(wire_listen(&l, unix_address, &plain, NULL), 0);
	a.l = l;
	pthread_create(&thread, NULL, accept_one, &a);
	poll(NULL, 0, 50);
	wire_stop_listening(l);
	pthread_join(thread, NULL);
	assert_int_equal(a.ret, -ECANCELED);
	assert_int_equal(wire_accept(l, -1, &w, NULL, NULL), -ECANCELED);
	wire_unlisten(l);
	/* one that waits for a greeting */
	stranger_comes(&s, &plain, NULL);
	poll(NULL, 0, 50);
	wire_stop_listening(s.listener);
	assert_int_equal(stranger_is_met(&s), -ECANCELED);
	stranger_goes(&s);
}

/* ---- Damage ---- */

struct frame {
	struct wire_header header;
	u8 payload[40];
};

static void make_frame(struct frame *f)
{
	wire_fill(f->payload, sizeof(f->payload), 9);
	f->header = (struct wire_header){.type = 3, .size = sizeof(f->payload)};
	f->header.sum = wire_sum(3, f->payload, sizeof(f->payload));
}

/* What the receiver makes of these bytes, after which the stream ends. */
static int receive_bytes(const void *data, size_t size, struct err *err)
{
	int fd, ret;
	struct wire *w = reader_of(&fd, 20000);
	struct wire_message msg;

	put(fd, data, size);
	shutdown(fd, SHUT_WR);
	ret = wire_receive(w, -1, &msg, err);
	if (ret) {
		assert_null(msg.data);
		assert_int_equal(wire_receive(w, -1, &msg, NULL), ret);
	} else {
		assert_int_equal(msg.size, sizeof(struct frame) - sizeof(struct wire_header));
	}
	wire_close(w);
	close(fd);
	return ret;
}

static void test_every_bit(void **state)
{
	struct frame f;
	struct err err;
	int ret;

	(void)state;
	make_frame(&f);
	assert_int_equal(receive_bytes(&f, sizeof(f), NULL), 0);
	for (size_t bit = 0; bit < 8 * sizeof(f); bit++) {
		err.text[0] = '\0';
		((u8 *)&f)[bit / 8] ^= (u8)(1 << bit % 8);
		ret = receive_bytes(&f, sizeof(f), &err);
		/* a length that grew is waited for */
		if (ret != -EBADMSG && !(bit >= 32 && bit < 64 && ret == -EPIPE))
			fail_msg("bit %zu: %d", bit, ret);
		assert_true(err.text[0]);
		((u8 *)&f)[bit / 8] ^= (u8)(1 << bit % 8);
	}
	for (size_t n = 0; n < sizeof(f); n++)
		assert_int_equal(receive_bytes(&f, n, NULL), -EPIPE);
}

static void test_lengths(void **state)
{
	static const u32 lengths[] = {BIG + 1, BIG * 2, INT32_MAX, (u32)INT32_MAX + 1, UINT32_MAX};
	struct wire_header h = {.type = 1};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		h.size = lengths[i];
		assert_int_equal(receive_bytes(&h, sizeof(h), NULL), -EBADMSG);
	}
	h.size = BIG;
	assert_int_equal(receive_bytes(&h, sizeof(h), NULL), -EPIPE);
}

/* However the bytes are cut into pieces on their way. */
static void test_pieces(void **state)
{
	struct wire_message msg;
	struct frame f;
	struct wire *w;
	int fd;

	(void)state;
	make_frame(&f);
	w = reader_of(&fd, 20000);
	for (size_t n = 1; n < sizeof(f); n++) {
		put(fd, &f, n);
		put(fd, (u8 *)&f + n, sizeof(f) - n);
		expect_message(w, 3, f.payload, sizeof(f.payload));
	}
	/* one byte at a time, while it waits */
	assert_int_equal(wire_receive(w, 0, &msg, NULL), -ETIMEDOUT);
	wire_close(w);
	close(fd);
}

/* ---- Descriptors ---- */

static void test_descriptors(void **state)
{
	struct pair p = make_pair(unix_address, &plain);
	u8 *data = malloc(BIG);
	struct wire_message msg;
	u32 before;
	char text[4];
	int fds[2];

	(void)state;
	wire_fill(data, BIG, 1);
	before = nr_descriptors();
	assert_int_equal(pipe(fds), 0);
	for (u32 size = 0; size <= 10000; size += 5000) {
		assert_int_equal(wire_send2(p.a, 1, data, size, "end", 3, fds[1], NULL), 0);
		assert_int_equal(wire_send2(p.a, 2, data, size, NULL, 0, -1, NULL), 0);
		assert_int_equal(wire_receive(p.b, QUICK, &msg, NULL), 0);
		assert_int_equal(msg.size, size + 3);
		assert_memory_equal(msg.data, data, size);
		assert_true(msg.fd >= 0 && msg.fd != fds[1]);
		assert_int_equal(write(msg.fd, "yes", 3), 3);
		close(msg.fd);
		assert_int_equal(read(fds[0], text, sizeof(text)), 3);
		expect_message(p.b, 2, data, size);
	}
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(nr_descriptors(), before);
	free(data);
	drop_pair(&p);
}

/* Bytes with so many descriptors. */
static void put_descriptors(int to, const void *data, size_t size, int fd, u32 nr)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(8 * sizeof(int))];
	} control = {.room = {0}};
	struct iovec part = {(void *)data, size};
	struct msghdr msg = {.msg_iov = &part,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_SPACE(nr * sizeof(int))};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(nr * sizeof(int));
	for (u32 i = 0; i < nr; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(to, &msg, MSG_NOSIGNAL), size);
}

static void test_too_many_descriptors(void **state)
{
	struct wire_message msg;
	struct frame f;
	struct wire *w;
	u32 before;
	int fd;

	(void)state;
	make_frame(&f);
	w = reader_of(&fd, 20000);
	before = nr_descriptors();
	/* more than one with a message */
	for (u32 nr = 1; nr <= 8; nr++) {
		put_descriptors(fd, &f, sizeof(f), 0, nr);
		assert_int_equal(wire_receive(w, -1, &msg, NULL), 0);
		assert_true(msg.fd >= 0);
		assert_int_equal(nr_descriptors(), before + 1);
		close(msg.fd);
	}
	/* one with each byte */
	for (size_t i = 0; i < sizeof(f); i++)
		put_descriptors(fd, (u8 *)&f + i, 1, 0, 1);
	assert_int_equal(wire_receive(w, -1, &msg, NULL), 0);
	assert_int_equal(nr_descriptors(), before + 1);
	close(msg.fd);
	/* with a message that is wrong */
	f.payload[7] ^= 1;
	put_descriptors(fd, &f, sizeof(f), 0, 2);
	assert_int_equal(wire_receive(w, -1, &msg, NULL), -EBADMSG);
	assert_int_equal(msg.fd, -1);
	assert_int_equal(nr_descriptors(), before);
	wire_close(w);
	close(fd);
	/* to who is not local in the sense of wire_is_local() */
	w = reader_of(&fd, 20000);
	w->local = false;
	f.payload[7] ^= 1;
	put_descriptors(fd, &f, sizeof(f), 0, 2);
	expect_message(w, 3, f.payload, sizeof(f.payload));
	assert_int_equal(nr_descriptors(), before);
	wire_close(w);
	close(fd);
}

/* ---- Silence ---- */

static void test_timeouts(void **state)
{
	const struct wire_config quick = {.timeout_ms = 100};
	struct pair p = make_pair(unix_address, &quick);
	struct wire_message msg;
	struct wire_listener *l;
	struct wire *w;
	u8 *data = calloc(1, BIG);
	struct frame f;
	u64 start = now_ns();
	int fd, ret = 0;

	(void)state;
	/* nothing has begun: it may be tried again */
	assert_int_equal(wire_receive(p.b, 0, &msg, NULL), -ETIMEDOUT);
	assert_int_equal(wire_receive(p.b, 50, &msg, NULL), -ETIMEDOUT);
	assert_true(now_ns() - start >= 50 * 1000000u);
	assert_int_equal(wire_send(p.a, 1, "x", 1, NULL), 0);
	expect_message(p.b, 1, "x", 1);
	/* nobody reads */
	start = now_ns();
	for (u32 i = 0; i < 100 && !ret; i++)
		ret = wire_send(p.a, 1, data, BIG, NULL);
	assert_int_equal(ret, -ETIMEDOUT);
	assert_true(now_ns() - start >= 100 * 1000000u);
	assert_int_equal(wire_send(p.a, 1, "x", 1, NULL), -ETIMEDOUT);
	drop_pair(&p);
	/* a message that stops */
	make_frame(&f);
	for (size_t n = 1; n < sizeof(f); n += 16) {
		w = reader_of(&fd, 30);
		put(fd, &f, n);
		assert_int_equal(wire_receive(w, -1, &msg, NULL), -ETIMEDOUT);
		assert_int_equal(wire_receive(w, -1, &msg, NULL), -ETIMEDOUT);
		wire_close(w);
		close(fd);
	}
	assert_int_equal(wire_listen(&l, unix_address, &quick, NULL), 0);
	assert_int_equal(wire_accept(l, 30, &w, NULL, NULL), -ETIMEDOUT);
	/* somebody listens, but does not accept */
	assert_int_equal(wire_connect(&w, unix_address, &quick, NULL), -ETIMEDOUT);
	wire_unlisten(l);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strange_greetings),
		cmocka_unit_test(test_silent_strangers),
		cmocka_unit_test(test_first_messages),
		cmocka_unit_test(test_dripping),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_stop_listening),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_too_many_descriptors),
		cmocka_unit_test(test_timeouts),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
