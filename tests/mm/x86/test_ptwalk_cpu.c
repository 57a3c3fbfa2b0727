// SPDX-License-Identifier: Apache-2.0
/*
 * The walker of page tables against the processor: a virtual machine of two instructions makes one
 * access after the other, at CPL 3 and CPL 0, through tables whose every flag is drawn, and says by
 * its page faults what the processor found. Whether there was one, its error code and address, and
 * the accessed and dirty bits afterwards must be what mm/x86/ptwalk.h says. (The idea is that of
 * kvm-unit-tests' access test.) What the processor is, is the host's matter: with EPT or NPT it
 * walks these very tables; on PVM it is KVM's walker and the processor's check of what that made.
 *
 * Tables change between two worlds only, when the memory slot is made anew: neither a TLB nor a KVM
 * that shadows can know anything of an earlier one. Needs /dev/kvm.
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/mm/x86/ptwalk_flat.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/segment.h"

#define RAM_SIZE ((u64)(2 * MiB)) /* a large page at 0 is all of it */
#define WORLDS	 48
#define ACCESSES 100

/* Guest-physical, and but for the last three also where the guest has it. */
#define CODE	 0x1000
#define IDT	 0x2000
#define GDT	 0x3000
#define TSS	 0x3400
#define HANDLERS 0x4000 /* of vector v: one HLT at HANDLERS + v */
#define STACK	 0x6000 /* its end */
#define ROOT	 0x6000
#define OWN	 0x7000	 /* tables of levels 3, 2 and 1 for what is above */
#define DRAWN	 0xa000	 /* the same for what is accessed */
#define DATA	 0xd000	 /* HLT in every byte */
#define CODE_0	 0x10000 /* the code again, for CPL 0, where CODE is not to be executed with SMEP */

/* In CODE */
#define READS  0x00 /* mov (%rdi), %al; hlt */
#define WRITES 0x10 /* mov %al, (%rdi); hlt */
#define KEYS   0x20 /* wrpkru; hlt */

/* Slots of the root that lead to drawn tables. */
#define FIRST_SLOT 1
#define NR_SLOTS   8

#define HLT 0xf4
#define GP  13
#define PF  14

struct machine {
	int kvm, vm, vcpu;
	u8 *ram;
	struct kvm_run *run;
	int run_size;
	struct ptwalk_mode mode;
	bool smep, smap, keys;
	u32 done, faults; /* accesses, by their outcome */
};

struct outcome {
	bool fault;
	u32 error;
	u64 cr2;
};

/* ---- The machine ---- */

static void learn(struct machine *m, const struct kvm_cpuid_entry2 *e)
{
	if (e->function == 0) {
		m->mode.amd = !memcmp(&e->ebx, "Auth", 4);
	} else if (e->function == 7 && e->index == 0) {
		m->smep = e->ebx >> 7 & 1;
		m->smap = e->ebx >> 20 & 1;
		m->keys = e->ecx >> 3 & 1;
	} else if (e->function == 0x80000001) {
		m->mode.gib_pages = e->edx >> 26 & 1;
	} else if (e->function == 0x80000008) {
		m->mode.maxphyaddr = (u8)e->eax;
	}
}

static void set_cpuid(struct machine *m)
{
	struct kvm_cpuid2 *cpuid = kvm_supported_cpuid(m->kvm);

	assert_non_null(cpuid);
	for (u32 i = 0; i < cpuid->nent; i++)
		learn(m, &cpuid->entries[i]);
	assert_int_equal(ioctl(m->vcpu, KVM_SET_CPUID2, cpuid), 0);
	free(cpuid);
}

static void set_memory(struct machine *m, u64 size)
{
	const struct kvm_userspace_memory_region region = {
		.memory_size = size,
		.userspace_addr = (u64)(uintptr_t)m->ram,
	};

	assert_int_equal(kvm_ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

static void machine_make(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0) {
		print_message("/dev/kvm cannot be opened\n");
		skip();
	}
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m->ram, MAP_FAILED);
	m->vm = kvm_ioctl_value(m->kvm, KVM_CREATE_VM, 0);
	assert_true(m->vm >= 0);
	set_memory(m, RAM_SIZE);
	m->vcpu = kvm_ioctl_value(m->vm, KVM_CREATE_VCPU, 0);
	assert_true(m->vcpu >= 0);
	m->run_size = kvm_ioctl_value(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->run = mmap(NULL, (size_t)m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	assert_ptr_not_equal(m->run, MAP_FAILED);
	set_cpuid(m);
}

static void machine_destroy(struct machine *m)
{
	munmap(m->run, (size_t)m->run_size);
	close(m->vcpu);
	close(m->vm);
	close(m->kvm);
	munmap(m->ram, RAM_SIZE);
}

/* ---- What does not change ---- */

static void put64(struct machine *m, u64 at, u64 value)
{
	memcpy(m->ram + at, &value, sizeof(value));
}

static void put_code(struct machine *m)
{
	static const u8 reads[] = {0x8a, 0x07, HLT}, writes[] = {0x88, 0x07, HLT};
	static const u8 keys[] = {0x0f, 0x01, 0xef, HLT};

	memcpy(m->ram + CODE + READS, reads, sizeof(reads));
	memcpy(m->ram + CODE + WRITES, writes, sizeof(writes));
	memcpy(m->ram + CODE + KEYS, keys, sizeof(keys));
	memset(m->ram + HANDLERS, HLT, PAGE_SIZE);
	memset(m->ram + DATA, HLT, PAGE_SIZE);
}

/* Interrupt gates to CPL 0; code and data segments of both levels; the stack for CPL 0. */
static void put_descriptors(struct machine *m)
{
	static const u64 gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00affb000000ffff,
				  0x00cff3000000ffff};

	memcpy(m->ram + GDT, gdt, sizeof(gdt));
	for (u64 v = 0; v < 32; v++)
		put64(m, IDT + 16 * v, (u64)0x8e00 << 32 | 0x8 << 16 | (HANDLERS + v));
	put64(m, TSS + 4, STACK);
}

/* One to one; CPL 3 has the code alone. */
static void put_own_tables(struct machine *m)
{
	const u64 all = PTWALK_PRESENT | PTWALK_WRITABLE | PTWALK_USER;

	put64(m, ROOT, OWN | all);
	put64(m, OWN, (OWN + PAGE_SIZE) | all);
	put64(m, OWN + PAGE_SIZE, (OWN + 2 * PAGE_SIZE) | all);
	for (u64 at = CODE; at < ROOT; at += PAGE_SIZE)
		put64(m, OWN + 2 * PAGE_SIZE + at / PAGE_SIZE * 8,
		      at | PTWALK_PRESENT | PTWALK_WRITABLE | (at == CODE ? PTWALK_USER : 0));
	put64(m, OWN + 2 * PAGE_SIZE + CODE_0 / PAGE_SIZE * 8, CODE | PTWALK_PRESENT);
}

/* ---- What is drawn ---- */

static bool one_in(u32 n)
{
	return (u32)random() % n == 0;
}

/* An entry of @level that leads to @frame, or is a large page; seldom one that cannot be. */
static u64 draw_entry(const struct machine *m, u32 level, u64 frame)
{
	u64 entry = frame | (one_in(20) ? 0 : PTWALK_PRESENT);

	entry |= one_in(6) ? 0 : PTWALK_WRITABLE;
	entry |= one_in(6) ? 0 : PTWALK_USER;
	entry |= one_in(2) ? PTWALK_ACCESSED : 0;
	entry |= one_in(2) ? PTWALK_DIRTY : 0;
	entry |= one_in(4) && level < 4 ? PTWALK_GLOBAL : 0; /* vendors differ on the root's */
	entry |= one_in(10) ? PTWALK_NX : 0;
	entry |= ((u64)random() & 0x7ff) << 52; /* ignored, and keys */
	if (one_in(24) && m->mode.maxphyaddr < 52)
		entry |=
			(u64)1 << (m->mode.maxphyaddr + (u32)random() % (52u - m->mode.maxphyaddr));
	if (level > 1 && (level == 4 ? one_in(24) : one_in(6))) {
		entry = (entry & ~frame) | PTWALK_LARGE; /* the page at 0 */
		entry |= one_in(8) ? (u64)1 << (13 + (u32)random() % 8) : 0;
	}
	return entry;
}

static void draw_tables(struct machine *m)
{
	for (u64 i = 0; i < NR_SLOTS; i++)
		put64(m, ROOT + (FIRST_SLOT + i) * 8, draw_entry(m, 4, DRAWN));
	for (u64 i = 0; i < 512; i++) {
		put64(m, DRAWN + i * 8, draw_entry(m, 3, DRAWN + PAGE_SIZE));
		put64(m, DRAWN + PAGE_SIZE + i * 8, draw_entry(m, 2, DRAWN + 2 * PAGE_SIZE));
		put64(m, DRAWN + 2 * PAGE_SIZE + i * 8, draw_entry(m, 1, DATA));
	}
}

static void draw_mode(struct machine *m)
{
	struct ptwalk_mode *mode = &m->mode;

	mode->cr0 = CR0_PE | CR0_ET | CR0_PG | (one_in(3) ? 0 : CR0_WP);
	mode->cr3 = ROOT;
	mode->cr4 = CR4_PAE;
	mode->cr4 |= m->smep && one_in(2) ? CR4_SMEP : 0;
	mode->cr4 |= m->smap && one_in(2) ? CR4_SMAP : 0;
	mode->cr4 |= m->keys && one_in(2) ? CR4_PKE : 0;
	mode->efer = EFER_LME | EFER_LMA | (one_in(4) ? 0 : EFER_NXE);
	mode->pkru = (u32)random() & 0x55555555u << (u32)random() % 2;
}

/* ---- One run ---- */

static struct kvm_segment segment(u8 cpl, enum flat_kind kind)
{
	return flat_segment((u16)((kind == FLAT_DATA ? 0x10 : 0x08) + (cpl ? 0x10 : 0) + cpl), cpl,
			    kind);
}

static void set_registers(struct machine *m, u32 cpl, u64 rip, u64 rdi)
{
	struct kvm_regs regs = {
		.rip = rip,
		.rsp = STACK,
		.rdi = rdi,
		.rax = m->mode.pkru,
		.rflags = m->mode.rflags,
	};
	struct kvm_sregs s;

	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_SREGS, &s), 0);
	s.cr0 = m->mode.cr0;
	s.cr2 = 0;
	s.cr3 = m->mode.cr3;
	s.cr4 = m->mode.cr4;
	s.efer = m->mode.efer;
	s.cs = segment((u8)cpl, FLAT_CODE64);
	s.ds = s.es = s.fs = s.gs = s.ss = segment((u8)cpl, FLAT_DATA);
	s.tr = task_segment(0x28, TSS);
	s.gdt = (struct kvm_dtable){.base = GDT, .limit = 5 * 8 - 1};
	s.idt = (struct kvm_dtable){.base = IDT, .limit = 32 * 16 - 1};
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_SET_SREGS, &s), 0);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_SET_REGS, &regs), 0);
}

/* From @rip on until the processor halts. Returns where that was. */
static u64 run(struct machine *m, u32 cpl, u64 rip, u64 rdi, struct kvm_regs *regs)
{
	set_registers(m, cpl, rip, rdi);
	assert_int_equal(kvm_ioctl_value(m->vcpu, KVM_RUN, 0), 0);
	if (m->run->exit_reason != KVM_EXIT_HLT)
		fail_msg("exit %u, error %u, at CPL %u, 0x%lx", m->run->exit_reason,
			 m->run->internal.suberror, cpl, rip);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_REGS, regs), 0);
	return regs->rip - 1;
}

static u64 pushed(const struct machine *m, const struct kvm_regs *regs, u32 i)
{
	u64 value;

	assert_true(regs->rsp >= STACK - PAGE_SIZE && regs->rsp + 8 * i < STACK);
	memcpy(&value, m->ram + regs->rsp + 8 * i, sizeof(value));
	return value;
}

/* Make the access. At CPL 3 the HLT after it is an exception; at CPL 0 it is the end. */
static struct outcome by_processor(struct machine *m, const struct ptwalk_access *access,
				   u64 linear)
{
	u32 cpl = access->by == PTWALK_BY_USER ? 3 : 0;
	u64 code = (cpl ? CODE : CODE_0) + (access->kind == PTWALK_WRITE ? WRITES : READS);
	u64 rip = access->kind == PTWALK_FETCH ? linear : code, at;
	u64 after = access->kind == PTWALK_FETCH ? linear : code + 2;
	struct kvm_sregs s;
	struct kvm_regs regs;

	at = run(m, cpl, rip, linear, &regs);
	if (!cpl && at == after)
		return (struct outcome){.fault = false};
	if (cpl && at == HANDLERS + GP) {
		assert_int_equal(pushed(m, &regs, 1), after);
		return (struct outcome){.fault = false};
	}
	assert_int_equal(at, HANDLERS + PF);
	assert_int_equal(pushed(m, &regs, 1), rip);
	assert_int_equal(kvm_ioctl(m->vcpu, KVM_GET_SREGS, &s), 0);
	return (struct outcome){.fault = true, .error = (u32)pushed(m, &regs, 0), .cr2 = s.cr2};
}

/* ---- Beside it, the walker ---- */

static u8 before[RAM_SIZE];

/*
 * The drawn entries here must be those there, but for accessed bits of entries on the way to a
 * fault, which a processor may set or not.
 */
static bool same_entries(const struct machine *m, const u8 *copy, u64 at, u64 n, bool fault)
{
	const u64 may = fault ? PTWALK_ACCESSED : 0;

	for (u64 i = 0; i < n; i++) {
		u64 here, there;

		memcpy(&here, m->ram + at + i * 8, sizeof(here));
		memcpy(&there, copy + at + i * 8, sizeof(there));
		if ((here ^ there) & ~may || there & ~here)
			return false;
	}
	return true;
}

/* Intel and AMD set P with it; the processor that QEMU 7.2 emulates does not. */
static u32 with_present(u32 error)
{
	return error & PTWALK_ERROR_RESERVED ? error | PTWALK_ERROR_PRESENT : error;
}

static void tell(const struct machine *m, const struct ptwalk_access *access, u64 linear,
		 const struct outcome *cpu, const struct ptwalk_result *r)
{
	for (u32 i = 0; i < r->nr_steps; i++) {
		u64 now;

		memcpy(&now, m->ram + r->steps[i].at.v, sizeof(now));
		print_message("level %u: 0x%lx, now 0x%lx\n", r->steps[i].level, r->steps[i].entry,
			      now);
	}
	fail_msg("kind %d by %d of 0x%lx, cr0 0x%lx cr4 0x%lx efer 0x%lx rflags 0x%lx pkru 0x%x: "
		 "the processor says fault %d error %x cr2 0x%lx, the walker error %x",
		 access->kind, access->by, linear, m->mode.cr0, m->mode.cr4, m->mode.efer,
		 m->mode.rflags, m->mode.pkru, cpu->fault, cpu->error, cpu->cr2, r->error);
}

static void compare(struct machine *m, const struct ptwalk_access *access, u64 linear)
{
	struct flat copy = {before, RAM_SIZE};
	const struct ptwalk_memory memory = {&copy, flat_read, flat_cmpxchg};
	struct ptwalk_result r;
	struct outcome cpu;
	bool fault, same;

	memcpy(before, m->ram, RAM_SIZE);
	cpu = by_processor(m, access, linear);
	fault = ptwalk(&m->mode, &memory, access, linear, &r) != PTWALK_DONE;
	same = fault == cpu.fault;
	if (same && fault)
		same = r.error == with_present(cpu.error) && cpu.cr2 == linear;
	same &= same_entries(m, before, ROOT + FIRST_SLOT * 8, NR_SLOTS, fault);
	same &= same_entries(m, before, DRAWN, 3 * 512, fault);
	m->done += !fault;
	m->faults += fault;
	if (!same)
		tell(m, access, linear, &cpu, &r);
	memset(m->ram + DATA, HLT, PAGE_SIZE);
}

/* ---- Worlds ---- */

static void make_world(struct machine *m)
{
	struct kvm_regs regs;

	set_memory(m, 0);
	memset(m->ram, 0, RAM_SIZE);
	put_code(m);
	put_descriptors(m);
	put_own_tables(m);
	draw_tables(m);
	draw_mode(m);
	set_memory(m, RAM_SIZE);
	m->mode.rflags = 2;
	if (m->mode.cr4 & CR4_PKE)
		assert_int_equal(run(m, 0, CODE_0 + KEYS, 0, &regs), CODE_0 + KEYS + 3);
}

/* An address that leads to DATA, through whichever entries, or nowhere. */
static u64 draw_linear(const struct machine *m, const struct ptwalk_access *access)
{
	struct flat ram = {m->ram, RAM_SIZE};
	const struct ptwalk_memory memory = {&ram, flat_read, NULL};
	u64 slot = FIRST_SLOT + (u64)random() % NR_SLOTS;
	u64 linear = slot << 39 | (((u64)random() << 8 ^ (u64)random()) & 0x7fffffffff);
	struct ptwalk_result r;

	if (ptwalk(&m->mode, &memory, access, linear, &r) == PTWALK_DONE && r.shift > PAGE_SHIFT)
		linear = (linear & ~(((u64)1 << r.shift) - PAGE_SIZE)) | DATA;
	return linear;
}

static void processor_agrees(void **state)
{
	struct machine m;

	(void)state;
	machine_make(&m);
	for (u32 world = 0; world < WORLDS; world++) {
		srandom(world + 1);
		make_world(&m);
		for (u32 i = 0; i < ACCESSES; i++) {
			const struct ptwalk_access access = {
				.kind = (enum ptwalk_kind)((u32)random() % 3),
				.by = one_in(3) ? PTWALK_BY_SUPERVISOR : PTWALK_BY_USER,
			};

			m.mode.rflags = 2 | (one_in(2) ? RFLAGS_AC : 0);
			compare(&m, &access, draw_linear(&m, &access));
		}
	}
	print_message("%u accesses, %u faults; SMEP %d, SMAP %d, keys %d, 1 GiB pages %d\n", m.done,
		      m.faults, m.smep, m.smap, m.keys, m.mode.gib_pages);
	assert_true(m.done > WORLDS * ACCESSES / 20 && m.faults > WORLDS * ACCESSES / 20);
	machine_destroy(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processor_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
