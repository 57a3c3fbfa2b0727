// SPDX-License-Identifier: Apache-2.0
/*
 * The walker of page tables against KVM's own, which answers KVM_TRANSLATE: on a virtual machine
 * that never runs, with random tables, in each kind of paging, as each vendor's processor. KVM
 * walks as a supervisor that reads: it obeys SMAP, sets accessed bits, and says no more of a fault
 * than that there was one. Of 4 MiB pages it takes PSE-36 literally: 36 bits of address, whatever
 * the processor has. Needs /dev/kvm.
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/mm/x86/ptwalk_flat.h"
#include "vmm/kvm/kvm.h"

#define PAGES	 16
#define RAM_SIZE (PAGES * PAGE_SIZE)
#define ROUNDS	 12
#define WALKS	 400

struct machine {
	int kvm, vm, vcpu;
	u8 *ram;
	struct ptwalk_mode mode; /* what its CPUID says; registers come later */
	bool la57;
	u32 valid;
};

static u8 before[RAM_SIZE];

/* Of all that this host's KVM has: that vendor, and so many bits of guest-physical address. */
static void set_cpuid(struct machine *m, bool amd, u8 maxphyaddr)
{
	struct kvm_cpuid2 *cpuid = kvm_supported_cpuid(m->kvm);

	assert_non_null(cpuid);
	m->mode.amd = amd;
	m->mode.maxphyaddr = maxphyaddr;
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0) {
			memcpy(&e->ebx, amd ? "Auth" : "Genu", 4);
			memcpy(&e->edx, amd ? "enti" : "ineI", 4);
			memcpy(&e->ecx, amd ? "cAMD" : "ntel", 4);
		} else if (e->function == 1) {
			m->mode.pse36 = e->edx >> 17 & 1;
		} else if (e->function == 7 && e->index == 0) {
			m->la57 = e->ecx >> 16 & 1;
		} else if (e->function == 0x80000001) {
			m->mode.gib_pages = e->edx >> 26 & 1;
		} else if (e->function == 0x80000008) {
			e->eax = (e->eax & ~0xffu) | maxphyaddr;
		}
	}
	assert_int_equal(ioctl(m->vcpu, KVM_SET_CPUID2, cpuid), 0);
	free(cpuid);
}

static void machine_make(struct machine *m, bool amd, u8 maxphyaddr)
{
	struct kvm_userspace_memory_region region = {.memory_size = RAM_SIZE};

	memset(m, 0, sizeof(*m));
	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0) {
		print_message("/dev/kvm cannot be opened\n");
		skip();
	}
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m->ram, MAP_FAILED);
	region.userspace_addr = (u64)(uintptr_t)m->ram;
	m->vm = kvm_ioctl_value(m->kvm, KVM_CREATE_VM, 0);
	assert_true(m->vm >= 0);
	assert_int_equal(kvm_ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	m->vcpu = kvm_ioctl_value(m->vm, KVM_CREATE_VCPU, 0);
	assert_true(m->vcpu >= 0);
	set_cpuid(m, amd, maxphyaddr);
}

static void machine_destroy(struct machine *m)
{
	close(m->vcpu);
	close(m->vm);
	close(m->kvm);
	munmap(m->ram, RAM_SIZE);
}

static u64 random_64(void)
{
	return (u64)random() << 42 ^ (u64)random() << 21 ^ (u64)random();
}

static bool one_in(u32 n)
{
	return (u32)random() % n == 0;
}

/* Mostly another table here, with any flags but mostly present; now and then anything else. */
static u64 random_entry(u32 size)
{
	u64 entry = (u64)random() % PAGES * PAGE_SIZE | (random_64() & 0xe7f);

	entry |= one_in(16) ? 0 : 1;
	entry |= one_in(4) ? PTWALK_LARGE : 0;
	entry |= one_in(8) ? PTWALK_GLOBAL : 0;
	if (size == 8) {
		entry |= one_in(4) ? PTWALK_NX : 0;
		entry |= one_in(8) ? random_64() & (u64)0x7ff << 52 : 0;
	}
	if (one_in(8))
		entry |= (u64)1 << (u32)random() % (8 * size);
	if (entry & PTWALK_LARGE && !one_in(4)) /* not reserved, at most of the levels */
		entry &= ~(((u64)1 << (one_in(2) ? 21 : 30)) - ((u64)1 << 13));
	return entry;
}

static void fill(struct machine *m, u32 size)
{
	for (u32 at = 0; at < RAM_SIZE; at += size) {
		u64 entry = random_entry(size);

		memcpy(m->ram + at, &entry, size);
	}
}

/*
 * The registers of a vCPU in @paging; what else of them counts is drawn. False: this KVM does
 * without paging then (PVM, outside of long mode), or refuses the fifth level, which it shows.
 */
static bool set_registers(struct machine *m, enum ptwalk_paging paging, u64 *pdptes)
{
	struct ptwalk_mode *mode = &m->mode;
	struct kvm_regs regs;
	struct kvm_sregs s;
	int ret;

	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_REGS, &regs), 0);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_SREGS, &s), 0);
	mode->pdptes = NULL;
	mode->cr0 = CR0_PE | CR0_ET | CR0_PG | (one_in(2) ? CR0_WP : 0);
	mode->cr3 = (u64)random() % PAGES * PAGE_SIZE;
	mode->cr4 = one_in(2) ? CR4_SMAP : 0;
	mode->cr4 |= paging == PTWALK_32_BIT ? (one_in(4) ? 0 : CR4_PSE) : CR4_PAE;
	mode->cr4 |= paging == PTWALK_5_LEVEL ? CR4_LA57 : 0;
	mode->efer = paging >= PTWALK_4_LEVEL ? EFER_LME | EFER_LMA : 0;
	mode->efer |= one_in(2) ? EFER_NXE : 0;
	mode->rflags = 2 | (one_in(2) ? RFLAGS_AC : 0);
	if (paging == PTWALK_PAE) {
		/* loading them with reserved bits would fail: that is no matter of a walk */
		for (u32 i = 0; i < 4; i++)
			pdptes[i] = (u64)random() % PAGES * PAGE_SIZE | !one_in(8);
		memcpy(m->ram + mode->cr3, pdptes, 4 * sizeof(*pdptes));
		mode->pdptes = pdptes;
	}
	s.cr0 = mode->cr0;
	s.cr3 = mode->cr3;
	s.cr4 = mode->cr4;
	s.efer = mode->efer;
	s.cs.l = paging >= PTWALK_4_LEVEL;
	s.cs.db = !s.cs.l;
	regs.rflags = mode->rflags;
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_SET_REGS, &regs), 0);
	ret = kvm_ioctl(m->vcpu, KVM_SET_SREGS, &s);
	if (ret && s.cr4 & CR4_SMAP) { /* this processor has no SMAP */
		s.cr4 = mode->cr4 &= ~CR4_SMAP;
		ret = kvm_ioctl(m->vcpu, KVM_SET_SREGS, &s);
	}
	if (ret && paging == PTWALK_5_LEVEL)
		return false;
	assert_int_equal(ret, 0);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_SREGS, &s), 0);
	return s.cr0 & CR0_PG;
}

static u64 random_linear(enum ptwalk_paging paging)
{
	u32 unused = paging == PTWALK_5_LEVEL ? 7 : 16;

	if (paging < PTWALK_4_LEVEL)
		return (u32)random_64();
	return (u64)((s64)(random_64() << unused) >> unused);
}

/* Both on the same memory, one after the other. */
static void compare(struct machine *m, enum ptwalk_paging paging)
{
	struct flat ram = {m->ram, RAM_SIZE};
	const struct ptwalk_memory memory = {&ram, flat_read, flat_cmpxchg};
	const struct ptwalk_access reads = {PTWALK_READ, PTWALK_BY_SUPERVISOR};
	u64 linear = random_linear(paging);
	struct kvm_translation t = {.linear_address = linear};
	static u8 kvm_after[RAM_SIZE];
	enum ptwalk_outcome outcome;
	struct ptwalk_result r;
	bool same;

	memcpy(before, m->ram, RAM_SIZE);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_TRANSLATE, &t), 0);
	memcpy(kvm_after, m->ram, RAM_SIZE);
	memcpy(m->ram, before, RAM_SIZE);
	outcome = ptwalk(&m->mode, &memory, &reads, linear, &r);
	same = t.valid == (outcome == PTWALK_DONE);
	if (t.valid)
		same &= t.physical_address == r.at.v;
	same &= !memcmp(m->ram, kvm_after, RAM_SIZE);
	m->valid += t.valid;
	if (same)
		return;
	for (u32 i = 0; i < r.nr_steps; i++)
		print_message("level %u at 0x%lx: 0x%lx\n", r.steps[i].level, r.steps[i].at.v,
			      r.steps[i].entry);
	fail_msg("paging %d, cr4 0x%lx, efer 0x%lx, rflags 0x%lx, 0x%lx: KVM %d 0x%llx, here %d "
		 "0x%lx, error %x",
		 paging, m->mode.cr4, m->mode.efer, m->mode.rflags, linear, t.valid,
		 t.physical_address, outcome, r.at.v, r.error);
}

static bool walk_some(struct machine *m, enum ptwalk_paging paging)
{
	u64 pdptes[4];

	if (paging == PTWALK_5_LEVEL && !m->la57)
		return false;
	fill(m, paging == PTWALK_32_BIT ? 4 : 8);
	for (u32 i = 0; i < WALKS; i++) {
		if (i % 20 == 0 && !set_registers(m, paging, pdptes))
			return false;
		compare(m, paging);
	}
	/* neither are all of them faults, nor none */
	assert_in_range(m->valid, WALKS / 50, WALKS - WALKS / 50);
	return true;
}

static void random_tables(enum ptwalk_paging paging, u8 maxphyaddr)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		struct machine m;
		bool can;

		srandom(i + 1);
		machine_make(&m, i % 2, maxphyaddr);
		can = walk_some(&m, paging);
		machine_destroy(&m);
		if (!can) {
			print_message("this host's KVM has no such paging\n");
			skip();
		}
	}
}

static void kvm_agrees_in_32_bit(void **state)
{
	(void)state;
	random_tables(PTWALK_32_BIT, 36);
}

static void kvm_agrees_in_pae(void **state)
{
	(void)state;
	random_tables(PTWALK_PAE, 40);
}

static void kvm_agrees_in_4_levels(void **state)
{
	(void)state;
	random_tables(PTWALK_4_LEVEL, 40);
}

static void kvm_agrees_in_5_levels(void **state)
{
	(void)state;
	random_tables(PTWALK_5_LEVEL, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_agrees_in_32_bit),
		cmocka_unit_test(kvm_agrees_in_pae),
		cmocka_unit_test(kvm_agrees_in_4_levels),
		cmocka_unit_test(kvm_agrees_in_5_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
