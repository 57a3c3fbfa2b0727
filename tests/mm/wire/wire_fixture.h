// SPDX-License-Identifier: Apache-2.0
/*
 * What the tests of connections share: a directory with a place for a socket and two keys, and both
 * ends of a connection. Whatever fails here fails the test that runs.
 */
#ifndef QUIRE_TESTS_MM_WIRE_WIRE_FIXTURE_H
#define QUIRE_TESTS_MM_WIRE_WIRE_FIXTURE_H

#include "tests/lib/test.h"

#include <sys/types.h>

#include "mm/wire/impl.h"
#include "tests/lib/quiet.h"

#define BIG   WIRE_MAX_SIZE
#define QUICK HUNG_MS

extern char wire_dir[], unix_address[64], key_path[64], other_key_path[64];
extern const struct wire_config plain;
extern struct wire_config with_key, other_key;

/* Of the group. Tearing down fails when a test has left a socket. */
int wire_set_up(void **state);
int wire_tear_down(void **state);

void wire_write_file(const char *path, const char *text, mode_t mode);
void wire_fill(u8 *data, u32 size, u32 seed);

/* A thread that accepts a connection. */
struct acceptor {
	struct wire_listener *l;
	struct wire *w;
	struct wire_message *first; /* is waited for too; or NULL */
	int timeout_ms, ret;
	struct err err;
};

void *accept_one(void *acceptor);

struct pair {
	struct wire_listener *listener;
	struct wire *a, *b; /* a connected, b accepted */
};

struct pair make_pair(const char *address, const struct wire_config *cfg);
void drop_pair(struct pair *p); /* its ends may be NULL */

/* The next message must be this one, without a descriptor. */
void expect_message(struct wire *w, u32 type, const void *data, u32 size);

#endif
