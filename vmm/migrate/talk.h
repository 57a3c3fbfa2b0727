// SPDX-License-Identifier: Apache-2.0
/* How the two sides of a migration talk: what both need of vmm/migrate/format.h. */
#ifndef QUIRE_VMM_MIGRATE_TALK_H
#define QUIRE_VMM_MIGRATE_TALK_H

#include "mm/base/err.h"
#include "mm/wire/wire.h"
#include "vmm/migrate/format.h"

/* How long the other side may take to answer what it should answer at once. */
#define MIGRATE_ANSWER_MS 10000

/*
 * wire_receive(); a refusal is -EREMOTEIO with the other side's sentence. A descriptor is there
 * with MIGRATE_SETUP only, the receiver's to close; others are closed.
 */
int migrate_receive(struct wire *w, int timeout_ms, struct wire_message *msg, struct err *err);

/* The same, of one type; another is -EPROTO. */
int migrate_expect(struct wire *w, u32 type, int timeout_ms, struct wire_message *msg,
		   struct err *err);

/* Tell the other side why not. It may be gone. */
void migrate_refuse(struct wire *w, const struct err *why);

int migrate_say_hello(struct wire *w, const u8 session[16], enum migrate_role role, u32 index,
		      struct err *err);

/* A greeting of a version that can be understood; else -EPROTO. */
int migrate_check_hello(const struct wire_message *msg, struct migrate_hello *hello,
			struct err *err);
/* The same of a message that has come already; a descriptor that came along is closed. */
int migrate_take_hello(struct wire_message *msg, struct migrate_hello *hello, struct err *err);
int migrate_hear_hello(struct wire *w, int timeout_ms, struct migrate_hello *hello,
		       struct err *err);

/*
 * A piece of MIGRATE_MISSING or MIGRATE_STALE into the @words of @bits; *@last: it says that there
 * are no more.
 */
int migrate_unpack_bitmap(const struct wire_message *msg, u64 *bits, u32 words, bool *last,
			  struct err *err);

/* All of @bits, as MIGRATE_MISSING or MIGRATE_STALE. */
int migrate_send_bitmap(struct wire *w, u32 type, const u64 *bits, u32 words, struct err *err);

#endif
