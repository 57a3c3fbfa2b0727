// SPDX-License-Identifier: Apache-2.0
/*
 * The state of a guest on shadow tables: what is written is read again, for ever, and each field
 * by which something is found is checked. tests/vmm/state/golden/state-pv-v1.bin is what the first
 * version wrote; QUIRE_WRITE_GOLDEN=1 writes it anew, which is right only while nobody has such
 * states.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/boot/loading.h"
#include "tests/vmm/state/state_fixture.h"
#include "vmm/kvm/kvm.h"

#define GOLDEN "tests/vmm/state/golden/state-pv-v1.bin"
#define ANY    UINT32_MAX

static int parse(const struct state_buf *buf, struct state_shape *shape, struct err *err)
{
	return state_parse(buf->data, buf->size, shape, err);
}

static void a_whole_one_is_taken(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;

	(void)state;
	for (unsigned int n = 1; n <= 16; n++) {
		fixture_make_pv(&buf, n, 0, NULL);
		assert_int_equal(parse(&buf, &shape, NULL), 0);
		assert_true(shape.pv && state_is_pv(buf.data, buf.size));
		assert_int_equal(shape.nr_cpus, n);
		assert_int_equal(shape.memory, FIXTURE_MEMORY);
		assert_int_equal(shape.cpuid->nent, FIXTURE_NR_CPUID);
	}
	fixture_make(&buf, 1, NULL);
	assert_int_equal(parse(&buf, &shape, NULL), 0);
	assert_false(shape.pv || state_is_pv(buf.data, buf.size));
	free(buf.data);
}

static void expect(const struct fixture_change *change, int ret, const char *words)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct err err = {""};

	fixture_make_pv(&buf, 2, 0, change);
	assert_int_equal(parse(&buf, &shape, &err), ret);
	if (ret && !strstr(err.text, words))
		fail_msg("\"%s\" without \"%s\"", err.text, words);
	assert_true(!ret || is_sentence(&err));
	free(buf.data);
}

static const struct {
	u32 tag, instance;
} needed[] = {
	{STATE_MACHINE, 0}, {STATE_CPUID, 1},  {STATE_XSAVE, 0}, {STATE_XSAVE, 1},
	{STATE_PV_CPU, 0},  {STATE_PV_CPU, 1}, {STATE_PV, 0},
};

static void each_section_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct fixture_change c = {.tag = needed[i].tag, .instance = needed[i].instance};

		c.drop = true;
		/* without the one it is another kind of guest, which lacks others */
		expect(&c, -EBADMSG, "is missing");
		c.drop = false;
		c.twice = true;
		expect(&c, -EBADMSG, "comes twice");
		c.twice = false;
		c.version = 2;
		expect(&c, -EOPNOTSUPP, "version 2 of section");
		c.version = 0;
		for (c.grow = -3; c.grow <= 40; c.grow++)
			if (c.grow)
				expect(&c, -EBADMSG, "");
	}
}

static void tables_are_optional(void **state)
{
	struct fixture_change c = {.tag = STATE_PV_TABLES, .drop = true};

	(void)state;
	expect(&c, 0, "");
	c.drop = false;
	c.version = 2;
	expect(&c, -EOPNOTSUPP, "version 2 of section PVTB");
	c.version = 0;
	c.grow = -1;
	expect(&c, -EBADMSG, "wrong size");
	c.grow = 0;
	c.new_instance = PV_STATE_TABLES_MAX - 1;
	expect(&c, 0, "");
	c.new_instance++;
	expect(&c, -EBADMSG, "has no 48");
}

static void cut_anywhere(void **state)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;

	(void)state;
	fixture_make_pv(&buf, 1, 0, NULL);
	for (u32 size = 24; size < buf.size; size++) {
		struct state_buf cut = {malloc(size), size, size};
		struct err err = {""};
		int ret;

		memcpy(cut.data, buf.data, size);
		state_end(&cut);
		ret = state_parse(cut.data, size, &shape, &err);
		assert_true(!ret || ret == -EBADMSG);
		assert_true(!ret || is_sentence(&err));
		free(cut.data);
	}
	free(buf.data);
}

/* ---- Fields ---- */

/* A state whose section has @value, of @size bytes, at @at: what comes of it. */
static int with(u32 tag, u32 instance, size_t at, u32 size, u64 value, u64 memory)
{
	struct state_buf buf = {NULL, 0, 0};
	struct state_shape shape;
	struct state_section s;
	struct err err = {""};
	int ret;

	fixture_make_pv(&buf, 2, memory, NULL);
	assert_true(state_find(buf.data, buf.size, tag, instance, &s));
	memcpy(buf.data + ((const u8 *)s.data - buf.data) + at, &value, size);
	state_end(&buf);
	ret = parse(&buf, &shape, &err);
	assert_true(!ret || (ret == -EBADMSG && is_sentence(&err)));
	free(buf.data);
	return ret;
}

struct field {
	const char *name;
	size_t at;
	u32 size;
	u64 good[3], bad[4]; /* the last ones repeated */
};

#define CPU(field) \
#field, offsetof(struct pv_state_cpu, field), sizeof(((struct pv_state_cpu *)0)->field)
#define PV(field)   #field, offsetof(struct pv_state, field), sizeof(((struct pv_state *)0)->field)
#define NONE	    (~(u64)0)
#define NO_CANON    0x8000000000000000u, 0xffff7fffffffffff, 0x800000000000, NONE << 48 | 1
#define CANON	    0, 0xffff800000000000, 0x7fffffffffff
#define LAST_FRAME  (FIXTURE_MEMORY / PAGE_SIZE - 1)
#define PAST_FRAMES LAST_FRAME + 1, 0x100000, NONE - 1, (u64)1 << 52

static const struct field cpu_fields[] = {
	{CPU(regs.rip), {0, NONE, (u64)1 << 63}, {0}}, /* it is looked at on the way in */
	{CPU(regs.rflags), {0, NONE, 2}, {0}},
	{CPU(kernel_sp), {CANON}, {NO_CANON}},
	{CPU(fs_base), {CANON}, {NO_CANON}},
	{CPU(gs_kernel), {CANON}, {NO_CANON}},
	{CPU(gs_user), {CANON}, {NO_CANON}},
	{CPU(cr4), {0, 0x406b0, 0x620}, {1, 0x2000, NONE, (u64)1 << 63}},
	{CPU(xcr0), {1, 7, 3}, {2, 6, NONE - 1, 4}},
	{CPU(roots[0]), {0, LAST_FRAME, NONE}, {PAST_FRAMES}},
	{CPU(roots[1]), {0, LAST_FRAME, NONE}, {PAST_FRAMES}},
	{CPU(vcpu_info),
	 {0, LAST_FRAME *PAGE_SIZE, 0x1fc0},
	 {FIXTURE_MEMORY, 0x1fc8, 0x1044, NONE}},
	{CPU(time_copy), {0, 0x1fe0, 0x1001}, {0x1fe1, FIXTURE_MEMORY, NONE, NONE << 12}},
	{CPU(runstate), {0, 3, 1}, {4, UINT32_MAX, 0x80000000, 255}},
	{CPU(poll_port), {0, 1023, UINT32_MAX}, {1024, UINT32_MAX - 1, 0x80000000, 65536}},
	{CPU(gdt_entries), {0, 512, 8192}, {8193, UINT32_MAX, 1 << 30, 65536}},
	{CPU(gdt_frames[0]), {0, LAST_FRAME, 1}, {PAST_FRAMES}},
	{CPU(gdt_frames[1]), {0, LAST_FRAME, NONE}, {0}}, /* there is but one */
	{CPU(io_ports), {0, 65536, 1}, {65537, UINT32_MAX, 0x80000000, 1 << 20}},
	{CPU(iopl), {0, 3, 1}, {4, UINT32_MAX, 255, 256}},
	{CPU(flags), {0, 3, 31}, {32, 2, 0x80000003, UINT32_MAX}},
	{CPU(ds), {0, 3, 0x2b}, {4, 0x10, 0x18, 0xffff}},
	{CPU(es), {1, 0x33, 0x23}, {0x2a, 0x40, 8, 0xe033}},
	{CPU(fs), {0, 3, 0x2b}, {4, 0x10, 0x18, 0xffff}},
	{CPU(gs), {0, 3, 0x2b}, {4, 0x10, 0x18, 0xffff}},
	{CPU(zero), {0}, {1, UINT32_MAX, 2, 4}},
	{CPU(traps[255].address), {CANON}, {NO_CANON}},
	{CPU(traps[0].masks_events), {0, 1, 1}, {2, 255, 256, 0xffff}},
	{CPU(traps[14].zero), {0}, {1, 2, 3, 4}},
	{CPU(callbacks[7].address), {CANON}, {NO_CANON}},
	{CPU(callbacks[1].cs), {0}, {1, 2, 3, 4}},
};

static const struct field pv_fields[] = {
	{PV(system_time), {0, NONE, 1}, {0}},
	{PV(console), {0, LAST_FRAME *PAGE_SIZE, 0x1000}, {1, FIXTURE_MEMORY, NONE, NONE << 12}},
	{PV(console_used), {0, 1, 1}, {2, UINT32_MAX, 256, 255}},
	{PV(nr_input), {0, 64, 1}, {65, UINT32_MAX, 0x80000000, 256}},
	{PV(ports[0].kind), {0}, {1, 2, 3, 4}},
	{PV(ports[5].kind), {0, 1, 4}, {5, 255, 128, 6}},
	{PV(ports[5].cpu), {0, 1, 1}, {2, 255, 16, 128}},
	{PV(ports[2].virq), {0, 23, 1}, {24, 0xffff, 256, 25}}, /* of a virq */
	{PV(ports[3].virq), {0}, {1, 23, 0xffff, 256}},		/* and not of one */
};

static void try_fields(u32 tag, u32 instance, const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct field *f = &fields[i];

		for (size_t k = 0; k < ARRAY_SIZE(f->good); k++)
			if (with(tag, instance, f->at, f->size, f->good[k], 0))
				fail_msg("%s: %#llx is refused", f->name,
					 (unsigned long long)f->good[k]);
		for (size_t k = 0; k < ARRAY_SIZE(f->bad) && f->bad[0]; k++)
			if (!with(tag, instance, f->at, f->size, f->bad[k], 0))
				fail_msg("%s: %#llx is taken", f->name,
					 (unsigned long long)f->bad[k]);
	}
}

static void fields_are_checked(void **state)
{
	(void)state;
	try_fields(STATE_PV_CPU, 1, cpu_fields, ARRAY_SIZE(cpu_fields));
	try_fields(STATE_PV, 0, pv_fields, ARRAY_SIZE(pv_fields));
}

/* Frames as the machine has them: up to the hole, and behind it. */
static void frames_round_the_hole(void **state)
{
	static const struct {
		u64 memory, frame;
		bool good;
	} cases[] = {
		{FIXTURE_MEMORY, LAST_FRAME, true}, {FIXTURE_MEMORY, LAST_FRAME + 1, false},
		{3 * GiB, 0xbffff, true},	    {3 * GiB, 0xc0000, false},
		{3 * GiB, 0x100000, false},	    {4 * GiB, 0xbffff, true},
		{4 * GiB, 0xc0000, false},	    {4 * GiB, 0xfffff, false},
		{4 * GiB, 0x100000, true},	    {4 * GiB, 0x13ffff, true},
		{4 * GiB, 0x140000, false},	    {4 * GiB, UINT32_MAX, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int want = cases[i].good ? 0 : -EBADMSG;

		assert_int_equal(with(STATE_PV_TABLES, 1, 4, 4, cases[i].frame, cases[i].memory),
				 want);
		assert_int_equal(with(STATE_PV_CPU, 0, offsetof(struct pv_state_cpu, roots), 8,
				      cases[i].frame, cases[i].memory),
				 want);
	}
}

/* ---- Hosts ---- */

/* Any kind of KVM will do, but not a processor that lacks something. */
static void the_kind_of_kvm_does_not_matter(void **state)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 room[400];
	} table = {.head = {.nent = 400}};
	struct state_shape shape = {.nr_cpus = 1, .pv = true, .cpuid = &table.head};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct err err = {""};

	(void)state;
	if (kvm < 0)
		skip();
	assert_int_equal(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &table.head), 0);
	table.head.nent = 1; /* the vendor: it was shown nothing else */
	for (shape.kvm = KVM_UNKNOWN; shape.kvm <= KVM_PVM; shape.kvm++)
		assert_int_equal(state_check_host(&shape, kvm, &err), 0);
	table.head.nent = 2;
	table.head.entries[1] = (struct kvm_cpuid_entry2){.function = 1, .ecx = 1u << 5};
	assert_int_equal(state_check_host(&shape, kvm, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "vmx"));
	close(kvm);
}

/* ---- The first version's file ---- */

static struct state_buf read_golden(void)
{
	struct state_buf buf = {.room = 64 * 1024};
	FILE *f = fopen(GOLDEN, "r");

	assert_non_null(f);
	buf.data = malloc(buf.room);
	buf.size = (u32)fread(buf.data, 1, buf.room, f);
	fclose(f);
	return buf;
}

static void check_at(const struct state_buf *buf, u32 tag, u32 at, u64 value)
{
	struct state_section s;
	u64 is;

	assert_true(state_find(buf->data, buf->size, tag, 0, &s));
	assert_int_equal(s.version, 1);
	memcpy(&is, (const u8 *)s.data + at, sizeof(is));
	assert_int_equal(is, value);
}

/* Offsets as numbers: they are what the file has. */
static void the_first_version_is_read(void **state)
{
	struct state_buf now = {NULL, 0, 0}, buf;
	struct state_shape shape;

	(void)state;
	fixture_make_pv(&now, 1, 0, NULL);
	if (getenv("QUIRE_WRITE_GOLDEN")) {
		FILE *f = fopen(GOLDEN, "w");

		assert_non_null(f);
		assert_int_equal(fwrite(now.data, 1, now.size, f), now.size);
		assert_int_equal(fclose(f), 0);
	}
	buf = read_golden();
	assert_int_equal(parse(&buf, &shape, NULL), 0);
	assert_true(shape.pv);
	check_at(&buf, STATE_TAG('P', 'V', 'V', 'M'), 0, 4000000000);
	check_at(&buf, STATE_TAG('P', 'V', 'V', 'M'), 8, 0x124000);
	check_at(&buf, STATE_TAG('P', 'V', 'V', 'M'), 16, (u64)3 << 32 | 1);
	check_at(&buf, STATE_TAG('P', 'V', 'V', 'M'), 92, (u64)23 << 48 | (u64)3 << 32 | 2);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 8 * 16, 0x11000); /* rip */
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 144, 0xffffc90000004000);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 200, 0x300);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 216, 0x123040);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 248, 5000000000);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 496, 7);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 536, 0xffffffff81000000);
	check_at(&buf, STATE_TAG('P', 'V', 'C', 'P'), 536 + 128 + 16, 0xffffffff81000010);
	check_at(&buf, STATE_TAG('P', 'V', 'T', 'B'), 0, (u64)1 << 32);
	assert_int_equal(now.size, buf.size);
	assert_memory_equal(now.data, buf.data, buf.size);
	free(now.data);
	free(buf.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_one_is_taken),
		cmocka_unit_test(each_section_counts),
		cmocka_unit_test(tables_are_optional),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(frames_round_the_hole),
		cmocka_unit_test(the_kind_of_kvm_does_not_matter),
		cmocka_unit_test(the_first_version_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
