// SPDX-License-Identifier: Apache-2.0
/* A VM that runs the microguest; see vm_fixture.h. */
#include "tests/vm_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mm/clock.h"
#include "vmm/incoming.h"
#include "vmm/vcpu.h"

#define PATIENCE_S 60

static void ended(void *opaque)
{
	sem_post(&((struct runner *)opaque)->ended);
}

static void serial_out(void *opaque, u8 byte)
{
	struct runner *r = opaque;

	if (r->len < sizeof(r->out) - 1)
		r->out[r->len++] = (char)byte;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static bool never(void *opaque)
{
	(void)opaque;
	return false;
}

static void print(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "%s\n", text);
}

static void no_memory_event(void *opaque, const struct mem_event *event)
{
	(void)opaque;
	(void)event;
}

static const char *micro(void)
{
	const char *path = getenv("MICRO");

	return path ? path : "build/guest/micro.elf";
}

void runner_need_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	if (fd < 0 || access(micro(), R_OK)) {
		print_message("/dev/kvm or %s cannot be opened\n", micro());
		skip();
	}
	vcpu_init_signal();
}

static int make(struct runner *r, const struct vm_config *cfg, struct err *err)
{
	*r = (struct runner){
		.host =
			{
				.opaque = r,
				.ended = ended,
				.serial_out = serial_out,
				.serial_ready = nothing,
				.congested = never,
				.log = print,
				.memory_event = no_memory_event,
			},
	};
	sem_init(&r->ended, 0, 0);
	return vm_create(&r->vm, cfg, &r->host, err);
}

void runner_make(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append)
{
	const struct vm_config cfg = {
		.kernel = micro(),
		.append = append,
		.memory = memory,
		.nr_cpus = nr_cpus,
		.backing = SPACE_MEMFD,
		.mem = {.check = true},
	};
	struct err err = {""};

	if (make(r, &cfg, &err))
		fail_msg("%s", err.text);
}

int runner_receive(struct runner *r, const struct incoming_guest *guest, struct err *err)
{
	const struct vm_config cfg = {
		.memory = guest->memory,
		.nr_cpus = guest->nr_cpus,
		.backing = SPACE_MEMFD,
		.incoming = guest,
		.mem = {.check = true},
	};
	int ret = make(r, &cfg, err);

	return ret ? ret : vm_start(r->vm, VM_PAUSE, err);
}

static const struct guest_beat_block *block_of(struct runner *r)
{
	const void *block = space_ptr(r->vm->space, (gpa_t){GUEST_BEAT_ADDRESS},
				      sizeof(struct guest_beat_block));

	assert_non_null(block);
	return block;
}

u64 runner_writes(struct runner *r, unsigned int cpu)
{
	return *(const volatile u64 *)&block_of(r)->cpu[cpu].writes;
}

u64 runner_all_writes(struct runner *r)
{
	u64 n = 0;

	for (unsigned int i = 0; i < r->vm->nr_vcpus; i++)
		n += runner_writes(r, i);
	return n;
}

static void wait_for_more_than(struct runner *r, u64 n)
{
	u64 until = now_ns() + (u64)PATIENCE_S * 1000000000;

	while (runner_all_writes(r) <= n) {
		if (vm_ended(r->vm, NULL) || now_ns() > until)
			fail_msg("it does not work; its output: %s", r->out);
		usleep(500);
	}
}

void runner_run(struct runner *r)
{
	struct err err = {""};

	if (vm_start(r->vm, VM_RUN, &err))
		fail_msg("%s", err.text);
	wait_for_more_than(r, 0);
}

void runner_expect_alive(struct runner *r)
{
	if (!vm_ended(r->vm, NULL)) /* it may have just done all of its work */
		wait_for_more_than(r, runner_all_writes(r));
}

void runner_expect_pass(struct runner *r)
{
	struct timespec until;
	struct vm_end end;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	if (sem_timedwait(&r->ended, &until))
		fail_msg("it does not end; its output: %s", r->out);
	assert_true(vm_ended(r->vm, &end));
	vm_pause(r->vm);
	if (end.status)
		fail_msg("status %d: %s; its output: %s", end.status, end.why.text, r->out);
	assert_non_null(strstr(r->out, "micro: pass"));
}

void runner_destroy(struct runner *r)
{
	vm_destroy(r->vm);
	sem_destroy(&r->ended);
	r->vm = NULL;
}
