// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as a machine's state. Magic, version, size and checksum would keep
 * nearly all inputs out, so they are made right first, unless the first byte says otherwise. What
 * is taken must be what it says, section by section; what is not is refused with a sentence.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/pv/state.h"
#include "vmm/state/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HEADER 24

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static bool is_frame(u64 frame, u64 memory)
{
	u64 low = MIN(memory, 3 * GiB) / PAGE_SIZE, high = memory / PAGE_SIZE - low;

	return frame < low || frame - 0x100000 < high;
}

/* What the VMM goes by without another look. */
static void look_pv(const u8 *bytes, u32 size, u64 memory)
{
	struct state_section s;
	u32 at = 0;

	while (state_next(bytes, size, &at, &s)) {
		const struct pv_state_cpu *cpu = s.data;
		const u32 *frames = s.data;

		if (s.tag == STATE_PV_CPU) {
			expect(s.size == sizeof(*cpu) && cpu->runstate < 4);
			expect(is_frame(cpu->vcpu_info / PAGE_SIZE, memory));
			expect(cpu->roots[0] == PV_STATE_NO_FRAME ||
			       is_frame(cpu->roots[0], memory));
			expect(cpu->fs_base >> 47 == 0 || cpu->fs_base >> 47 == 0x1ffff);
		}
		for (u32 i = 0; s.tag == STATE_PV_TABLES && i < s.size / 4; i++)
			expect(is_frame(frames[i], memory));
	}
}

static void look(const u8 *bytes, u32 size)
{
	struct state_shape shape;
	struct state_section s;
	struct err err = {.text = ""};
	int ret = state_parse(bytes, size, &shape, &err);
	u32 at = 0, n = 0, sum = 0;

	if (ret) {
		expect(ret == -EBADMSG || ret == -EOPNOTSUPP);
		expect(!strncmp(err.text, "state: ", 7));
		return;
	}
	while (state_next(bytes, size, &at, &s)) {
		for (u32 i = 0; i < s.size; i++)
			sum += ((const u8 *)s.data)[i];
		n++;
	}
	expect(at == size && n <= STATE_SECTIONS_MAX && sum <= size * 255);
	expect(shape.nr_cpus >= 1 && shape.nr_cpus <= 16 && shape.memory % (2 * MiB) == 0);
	expect((const u8 *)(shape.cpuid->entries + shape.cpuid->nent) <= bytes + size);
	for (u32 i = 0; i < shape.nr_cpus; i++)
		expect(state_find(bytes, size, shape.pv ? STATE_PV_CPU : STATE_MSRS, i, &s));
	if (shape.pv)
		look_pv(bytes, size, shape.memory);
	/* a table is as good as itself, if it has a vendor at all */
	ret = state_check_cpuid(shape.cpuid, shape.cpuid, &err);
	expect(!ret || ret == -EOPNOTSUPP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct state_buf buf;

	if (!len)
		return 0;
	buf = (struct state_buf){.data = malloc(len), .size = (u32)len - 1, .room = (u32)len};
	memcpy(buf.data, data + 1, len - 1);
	if (data[0] != '!' && buf.size >= HEADER)
		state_end(&buf);
	look(buf.data, buf.size);
	free(buf.data);
	return 0;
}
