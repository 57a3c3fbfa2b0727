// SPDX-License-Identifier: Apache-2.0
/*
 * A VM that runs the microguest, for tests of what is done to a running guest. Needs /dev/kvm and
 * build/guest/micro.elf (or $MICRO); without, tests that make one are skipped aloud.
 */
#ifndef QUIRE_TESTS_LIB_VM_FIXTURE_H
#define QUIRE_TESTS_LIB_VM_FIXTURE_H

#include "tests/lib/test.h"

#include "guest/abi.h"
#include "vmm/run/vm_create.h"

struct runner {
	struct vm *vm;
	struct vm_host host;
	char out[4096]; /* what it printed; written by vCPU threads, one at a time */
	size_t len;
};

/* Skips the test where a VM cannot run. */
void runner_need_kvm(void);

/* With the microguest and its command line; not started. */
void runner_make(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append);

/* The same without a memory engine: a test may write to the guest's memory as it likes. */
void runner_make_plain(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append);

/* The same as runner_make(), but on shadow page tables. */
void runner_make_shadow(struct runner *r, u64 memory, unsigned int nr_cpus, const char *append);

/* For the guest that is coming: parked. -errno as the VM has it. */
int runner_receive(struct runner *r, const struct incoming_guest *guest, struct err *err);

/* Start it, and wait until its work has begun. */
void runner_run(struct runner *r);

/* Pages that a processor has written by its work, or all have. */
u64 runner_writes(struct runner *r, unsigned int cpu);
u64 runner_all_writes(struct runner *r);

/* It must go on writing, now. */
void runner_expect_alive(struct runner *r);

/*
 * Each processor must count in so many more pages (job=edge), which ends the guest when one is not
 * as it was left: as many rounds as fit in have checked each of its pages.
 */
void runner_expect_counts(struct runner *r, u64 pages);

void runner_destroy(struct runner *r);

#endif
