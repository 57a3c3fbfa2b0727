// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as what comes over a connection. Each message that is handed over
 * must be in these bytes, in its place, as a second, naive reader finds it; the first that is not
 * whole ends the connection with a sentence. Checksums would keep nearly all inputs out, so they
 * are made right first, unless the first byte says otherwise. The second byte says how the bytes
 * are cut into pieces on their way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/wire/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What a socket takes without anybody reading, and that many pieces of it. */
#define MOST	    16384
#define MOST_PIECES 64

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static struct wire_header header_at(const u8 *bytes)
{
	struct wire_header h;

	memcpy(&h, bytes, sizeof(h));
	return h;
}

/* Whether there is a whole message at @bytes, but for its checksum. */
static bool is_whole(const u8 *bytes, size_t len)
{
	return len >= sizeof(struct wire_header) && header_at(bytes).size <= WIRE_MAX_SIZE &&
	       header_at(bytes).size <= len - sizeof(struct wire_header);
}

static void fix_sums(u8 *bytes, size_t len)
{
	struct wire_header h;

	while (is_whole(bytes, len)) {
		h = header_at(bytes);
		h.sum = wire_sum(h.type, bytes + sizeof(h), h.size);
		memcpy(bytes, &h, sizeof(h));
		bytes += sizeof(h) + h.size;
		len -= sizeof(h) + h.size;
	}
}

static void feed(int fd, const u8 *bytes, size_t len, size_t piece)
{
	size_t n;

	piece = MAX(piece, len / MOST_PIECES + 1);
	for (size_t at = 0; at < len; at += n) {
		n = MIN(piece, len - at);
		expect(send(fd, bytes + at, n, MSG_NOSIGNAL) == (ssize_t)n);
	}
	shutdown(fd, SHUT_WR);
}

static void read_all(struct wire *w, const u8 *bytes, size_t len)
{
	struct wire_message msg;
	struct wire_header h;
	struct err err = {.text = ""};
	int ret;

	while (!(ret = wire_receive(w, -1, &msg, &err))) {
		expect(is_whole(bytes, len));
		h = header_at(bytes);
		expect(msg.type == h.type && msg.size == h.size && msg.fd == -1);
		bytes += sizeof(h);
		expect(!msg.size || !memcmp(msg.data, bytes, msg.size));
		expect(wire_sum(h.type, bytes, h.size) == h.sum);
		bytes += h.size;
		len -= sizeof(h) + h.size;
	}
	expect(err.text[0]);
	if (is_whole(bytes, len)) {
		h = header_at(bytes);
		expect(wire_sum(h.type, bytes + sizeof(h), h.size) != h.sum);
		expect(ret == -EBADMSG);
	} else {
		expect(ret == -EPIPE || ret == -EBADMSG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wire *w;
	u8 *bytes;
	int fds[2];

	if (len < 2 || len > MOST)
		return 0;
	len -= 2;
	bytes = malloc(len + 1);
	expect(bytes && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
	memcpy(bytes, data + 2, len);
	if (data[0] != '!')
		fix_sums(bytes, len);
	expect(!wire_wrap(&w, fds[0], true, "input", 1000, NULL));
	feed(fds[1], bytes, len, data[1]);
	read_all(w, bytes, len);
	wire_close(w);
	close(fds[1]);
	free(bytes);
	return 0;
}
