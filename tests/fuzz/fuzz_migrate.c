// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any messages as what a source says to a destination (vmm/migrate/incoming.h)
 * that has memory and no machine: a greeting, a set-up, pages, lists of pages, states, in any
 * order. It must neither hang nor keep anything, and who is refused is told why.
 *
 * An input is a byte of switches, then messages: a byte of type, two of size, the payload. What
 * would keep nearly all inputs out is made right first, unless a switch says otherwise: the magic
 * and version of a greeting, and the shape and size of a set-up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/engine/mem.h"
#include "mm/wire/wire.h"
#include "tests/lib/quiet.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/format.h"
#include "vmm/vm/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MEMORY SPACE_MIN_SIZE
#define BOUND  HUNG_NS

/* Switches. */
#define RAW_HELLO  1u
#define RAW_SETUP  2u
#define NO_MEMORY  4u /* its owner refuses */
#define GREET	   8u /* a right greeting and set-up come first */
#define BE_MISSING 16u

static struct vm vm; /* memory alone, made once */

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void failed(void *opaque, const struct err *why)
{
	(void)opaque;
	(void)why;
	abort();
}

static void on_event(void *opaque, const struct mem_event *event)
{
	(void)opaque;
	(void)event;
}

static void make_memory(void)
{
	static const struct mem_host host = {.failed = failed, .event = on_event};
	const struct mem_config cfg = {.nr_cpus = 1};

	expect(!space_create(&vm.space, MEMORY, SPACE_MEMFD));
	expect(!mem_create(&vm.mem, vm.space, &cfg, &host, NULL));
	expect(!mem_start(vm.mem, NULL));
}

static const struct err refusal = {.text = "not here"};

/* The owner, on the thread of the destination, as what he does is nothing. */
struct owner {
	struct incoming *in;
	pthread_mutex_t lock; /* until .in is set */
	bool refuses;
};

static void changed(void *opaque)
{
	const struct incoming_guest *guest;
	struct owner *o = opaque;

	pthread_mutex_lock(&o->lock);
	if (incoming_wants_vm(o->in, &guest)) {
		expect(guest->memory >= MEMORY && !(guest->memory % (2 * MiB)));
		expect(memchr(guest->name, '\0', sizeof(guest->name)));
		if (o->refuses || guest->memory != MEMORY)
			incoming_refuse(o->in, &refusal);
		else
			incoming_give_vm(o->in, &vm);
	}
	pthread_mutex_unlock(&o->lock);
}

/* ---- The source ---- */

static void fix_hello(u8 *payload)
{
	struct migrate_hello hello = {.version = MIGRATE_VERSION};

	memcpy(hello.magic, MIGRATE_MAGIC, sizeof(hello.magic));
	memcpy(payload, &hello, 16);
	memset(payload + 32, 0, 4); /* the main role */
}

static void fix_setup(u8 *payload, u32 size)
{
	struct migrate_setup setup;

	memcpy(&setup, payload, sizeof(setup));
	setup.memory = MEMORY;
	setup.streams = 1;
	setup.handover = 0;
	setup.postcopy = 0; /* or the urgent connection would be waited for */
	setup.state_size = size - (u32)sizeof(setup);
	setup.name[MIGRATE_NAME_SIZE - 1] = '\0';
	memcpy(payload, &setup, sizeof(setup));
}

static int say(struct wire *w, u8 switches, u8 type, const u8 *data, u32 size)
{
	u8 *payload = malloc(size + 1);
	int ret;

	memcpy(payload, data, size);
	if (type == MIGRATE_HELLO && size >= sizeof(struct migrate_hello) &&
	    !(switches & RAW_HELLO))
		fix_hello(payload);
	if (type == MIGRATE_SETUP && size >= sizeof(struct migrate_setup) &&
	    !(switches & RAW_SETUP))
		fix_setup(payload, size);
	ret = wire_send(w, type, payload, size, NULL);
	free(payload);
	return ret;
}

/* What every source says first; with pages that may be missing, on two connections. */
static struct wire *begin(struct wire *w, const char *address, u8 switches)
{
	struct migrate_hello hello = {.version = MIGRATE_VERSION};
	struct migrate_setup setup = {.memory = MEMORY, .nr_cpus = 1, .streams = 1};
	struct wire *urgent = NULL;
	struct wire_message msg;

	memcpy(hello.magic, MIGRATE_MAGIC, sizeof(hello.magic));
	setup.postcopy = !!(switches & BE_MISSING);
	expect(!wire_send(w, MIGRATE_HELLO, &hello, sizeof(hello), NULL));
	expect(!wire_send(w, MIGRATE_SETUP, &setup, sizeof(setup), NULL));
	expect(!wire_receive(w, 10000, &msg, NULL) && msg.type == MIGRATE_HELLO);
	expect(!wire_receive(w, 10000, &msg, NULL));
	expect(msg.type == (switches & NO_MEMORY ? MIGRATE_REFUSE : MIGRATE_READY));
	if (msg.type == MIGRATE_READY && setup.postcopy) {
		const struct wire_config cfg = {.timeout_ms = 10000};

		hello.role = MIGRATE_URGENT;
		expect(!wire_connect(&urgent, address, &cfg, NULL));
		expect(!wire_send(urgent, MIGRATE_HELLO, &hello, sizeof(hello), NULL));
	}
	return urgent;
}

#define ANSWER_MS 200

static void talk(struct wire *w, u8 switches, const uint8_t *data, size_t len)
{
	struct wire_message msg;
	struct err err = {.text = ""};
	u32 size;

	while (len >= 3) {
		size = MIN((u32)data[1] | (u32)data[2] << 8, (u32)len - 3);
		if (say(w, switches, data[0], data + 3, size))
			break;
		data += 3 + size;
		len -= 3 + size;
	}
	/*
	 * Out of turn: it is refused at the latest now, if anybody listens; who waits for the
	 * further connections of a set-up does not.
	 */
	wire_send(w, UINT32_MAX, NULL, 0, NULL);
	while (!wire_receive(w, ANSWER_MS, &msg, &err))
		if (msg.type == MIGRATE_REFUSE)
			expect(msg.size > 0 && msg.size < sizeof(err.text));
}

static void make_address(char *address, size_t room)
{
	static unsigned int nr;

	snprintf(address, room, "unix:/tmp/fuzz_migrate.%d.%u", (int)getpid(), ++nr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct owner owner = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct wire_config cfg = {.timeout_ms = 10000};
	char address[64];
	const struct incoming_config in = {
		.address = address, .opaque = &owner, .changed = changed};
	struct wire *w, *urgent = NULL;
	u64 since = now_ns();

	if (!len || len > 65536)
		return 0;
	if (!vm.mem)
		make_memory();
	make_address(address, sizeof(address));
	owner.refuses = data[0] & NO_MEMORY;
	pthread_mutex_lock(&owner.lock);
	expect(!incoming_start(&owner.in, &in, NULL));
	pthread_mutex_unlock(&owner.lock);
	expect(!wire_connect(&w, address, &cfg, NULL));
	if (data[0] & GREET)
		urgent = begin(w, address, data[0]);
	talk(w, data[0], data + 1, len - 1);
	incoming_stop(owner.in);
	incoming_destroy(owner.in);
	wire_close(w);
	wire_close(urgent);
	expect(now_ns() - since < BOUND);
	return 0;
}
