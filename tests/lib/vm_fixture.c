// SPDX-License-Identifier: Apache-2.0
/* A VM that runs the microguest; see vm_fixture.h. */
#include "tests/lib/quiet.h"
#include "tests/lib/vm_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "vmm/migrate/incoming.h"
#include "vmm/vm/vcpu.h"

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
				.ended = nothing,
				.serial_out = serial_out,
				.serial_ready = nothing,
				.congested = never,
				.log = print,
				.memory_event = no_memory_event,
			},
	};
	return vm_create(&r->vm, cfg, &r->host, err);
}

static void make_micro(struct runner *r, enum space_backing backing, enum vm_mmu mmu, u64 memory,
		       unsigned int nr_cpus, const char *append)
{
	const struct vm_config cfg = {
		.kernel = micro(),
		.append = append,
		.memory = memory,
		.nr_cpus = nr_cpus,
		.backing = backing,
		.mmu = mmu,
		.mem = {.check = true},
	};
	struct err err = {""};

	if (make(r, &cfg, &err))
		fail_msg("%s", err.text);
}

void runner_make(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append)
{
	make_micro(r, SPACE_MEMFD, VM_MMU_AUTO, memory, nr_cpus, append);
}

void runner_make_plain(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append)
{
	make_micro(r, SPACE_ANON, VM_MMU_AUTO, memory, nr_cpus, append);
}

void runner_make_shadow(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append)
{
	make_micro(r, SPACE_MEMFD, VM_MMU_SHADOW, memory, nr_cpus, append);
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

void runner_expect_counts(struct runner *r, u64 pages)
{
	u64 until = now_ns() + HUNG_NS;

	for (unsigned int i = 0; i < r->vm->nr_vcpus; i++) {
		u64 before = runner_writes(r, i);

		while (runner_writes(r, i) - before < pages) {
			if (vm_ended(r->vm, NULL) || now_ns() > until)
				fail_msg("vCPU %u does not work; the output: %s", i, r->out);
			usleep(500);
		}
	}
}

void runner_run(struct runner *r)
{
	struct err err = {""};

	if (vm_start(r->vm, VM_RUN, &err))
		fail_msg("%s", err.text);
	runner_expect_counts(r, 1);
}

void runner_expect_alive(struct runner *r)
{
	runner_expect_counts(r, 1);
}

void runner_destroy(struct runner *r)
{
	vm_destroy(r->vm);
	r->vm = NULL;
}
