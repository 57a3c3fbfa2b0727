// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's state outside its memory: processors, interrupt controllers, timers, clocks and
 * devices, as bytes that outlive the process. The format is in docs/FORMATS.md: a header with
 * version and checksum, then sections, each with a tag, an instance, a version and a length; little
 * endian throughout. Sections of KVM hold the kernel's own structures, whose layout is its ABI.
 *
 * A state is untrusted: everything is checked before anything is used, and a state that cannot be
 * is -EBADMSG with a sentence. One that this host cannot run (another vendor's processor, features
 * that are missing here) is -EOPNOTSUPP, and the sentence lists what is missing.
 *
 * What KVM refuses while a state is loaded comes back with KVM's own error.
 *
 * A guest on shadow tables has sections of its own instead (vmm/pv/state.h).
 *
 * Nested guests are not part of a state: what a guest runs inside itself by VMX or SVM is lost.
 *
 * Saving and loading are for one thread, while the vCPUs are parked (vm_pause(), vm_freeze()) or
 * not yet started.
 *
 * The face of vmm/state/, which owns the bytes and nothing that lives. It uses mm/, vmm/pv, vmm/vm
 * and what is below; of checkpoints and migration, which carry the bytes, it knows nothing. Begin
 * here and with format.h (header, sections, tags); then state.c (the order in which parts are saved
 * and loaded), vcpu.c, vm.c and tsc.c (a guest on KVM's tables), pv.c (one on ours), host.c
 * (whether this host can run it).
 */
#ifndef QUIRE_VMM_STATE_STATE_H
#define QUIRE_VMM_STATE_STATE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct vm;
struct kvm_cpuid2;

/* The version that is written. All before it can be read. */
#define STATE_VERSION 1

/* Bytes that grow; .data is malloc()ed and the holder's to free. Kept between saves for reuse. */
struct state_buf {
	u8 *data;
	u32 size, room;
};

/* Save everything. The buffer's old contents are replaced. */
int state_save(struct vm *vm, struct state_buf *buf, struct err *err);

/* What a VM must be like before the state can be loaded into it. */
struct state_shape {
	unsigned int nr_cpus;
	u64 memory;			/* bytes */
	u64 wall_ns;			/* when it was saved, CLOCK_REALTIME */
	u32 tsc_khz;			/* 0: not known */
	u32 kvm;			/* enum kvm_kind of the host that saved it */
	bool pv;			/* it is on shadow tables (vmm/pv/pv.h) */
	const struct kvm_cpuid2 *cpuid; /* of the first vCPU; inside the state's bytes */
};

/* Check all of the state's form, and read its shape. @data is aligned to 8 bytes. */
int state_parse(const void *data, u32 size, struct state_shape *shape, struct err *err);

/* Its shape's .pv, of a state that has been parsed before. */
bool state_is_pv(const void *data, u32 size);

/*
 * Whether this host can run it: same vendor, every CPUID feature bit that the guest was shown, the
 * same kind of KVM where it matters (to a guest on shadow tables it does not). @kvm_fd is /dev/kvm.
 */
int state_check_host(const struct state_shape *shape, int kvm_fd, struct err *err);

/* The same, of two CPUID tables: what the guest was shown, and what a host can give. */
int state_check_cpuid(const struct kvm_cpuid2 *shown, const struct kvm_cpuid2 *host,
		      struct err *err);

/* What the guest's clocks say afterwards. */
enum state_clock {
	STATE_CLOCK_CONTINUE, /* as if no time had passed */
	STATE_CLOCK_JUMP,     /* wall time has gone on: kvm-clock and TSC with it */
};

/*
 * Load it into a VM of its shape whose vCPUs have not run, or into the one that saved it, parked
 * (a roll-back; the CPUID is left alone then, since a vCPU that has run cannot change it).
 */
int state_load(struct vm *vm, const void *data, u32 size, enum state_clock clock, struct err *err);

#endif
