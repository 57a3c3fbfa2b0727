// SPDX-License-Identifier: Apache-2.0
/*
 * A destination (vmm/migrate/incoming.h) in a directory of its own, and a source that says whatever
 * a test wants. Whatever fails here fails the test that runs.
 */
#ifndef QUIRE_TESTS_VMM_MIGRATE_INCOMING_FIXTURE_H
#define QUIRE_TESTS_VMM_MIGRATE_INCOMING_FIXTURE_H

#include "tests/lib/test.h"

#include "mm/wire/wire.h"
#include "tests/lib/quiet.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/format.h"

#define PATIENCE HUNG_MS

#define INCOMING_MEMORY (64 * MiB)

/* ms of quiet time: stopping takes no longer, whatever is waited for. */
#define AT_ONCE 5000

/* Of the group: the directory. */
int incoming_set_up(void **state);
int incoming_tear_down(void **state);

struct incoming *incoming_open(const char *address); /* NULL: a UNIX socket */

/* The same with a key, which the source then has too. The file is gone with the directory. */
struct incoming *incoming_open_with_key(void);

/* Stop it, which must not take longer than @ms, and free it. */
void incoming_shut(struct incoming *in, unsigned int ms);

/* It must come to this; then that is where it stands. */
void expect_status(struct incoming *in, enum migrate_status status);

/* It must fail for a reason with these words. */
void expect_failure(struct incoming *in, const char *words);

/* ---- A source ---- */

extern const u8 session[16];

struct migrate_hello source_hello(enum migrate_role role);
struct wire *source_connect(struct incoming *in);
void source_say(struct wire *w, u32 type, const void *data, u32 size);
void source_expect(struct wire *w, u32 type);

/* Connect and greet; the main one is greeted back. */
struct wire *source_greet(struct incoming *in, enum migrate_role role);

/* It must be refused with these words, and hung up on. The connection is closed. */
void source_expect_refusal(struct wire *w, const char *words);

/* One that is right, but for its state, which is @size bytes of nothing. */
struct migrate_setup source_setup(u32 size);

/* Greet, set up, and have the destination know of a VM; which is not used unless pages come. */
struct wire *source_set_up(struct incoming *in, const struct migrate_setup *setup, struct vm *vm);

#endif
