// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer target: any bytes as a kernel image, and as the initrd beside it, once for the guest's
 * own paging and once for the VMM's. Whatever they are, there is either a sentence or a guest in
 * whose memory everything is where the file says. First corpus: make_load_corpus.c.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vmm/boot/loading.h"
#include "tests/vmm/boot/pv_guest.h"

#define GUEST_SIZE (16 * MiB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct space *space, const struct outcome *out, const void *data,
		  size_t len)
{
	if (out->code) {
		expect(out->code < 0 && is_sentence(&out->err));
		return;
	}
	expect(space_ptr(space, out->entry.rip, 1) && space_ptr(space, out->entry.info, PAGE_SIZE));
	if (len >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG))
		expect(guest_has_elf(space, data, len) && elf_covers(data, out->entry.rip.v));
	else
		expect(out->entry.linux);
}

/* What the guest needs for its first step is mapped. */
static void check_pv(const struct space *space, const struct outcome *out)
{
	const struct pv_boot *boot = &out->entry.pv;
	struct ptwalk_result r;
	struct pv_guest g;

	if (out->code) {
		expect(out->code < 0 && is_sentence(&out->err));
		return;
	}
	expect(out->entry.mode == BOOT_XEN_PV && pv_guest_init(&g, space, out));
	expect(pv_walk(&g, boot->rip, &r) && pv_walk(&g, boot->rsp - 1, &r) && r.writable);
	expect(pv_walk(&g, pv_info(&g, SI_MFN_LIST), &r) && r.writable);
	expect(pv_at(&g, pv_info(&g, SI_PT_BASE)) == boot->root.v * PAGE_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct image initrd = {.data = (u8 *)data, .len = len};
	struct space *space = space_of(GUEST_SIZE);
	struct extras extras = {.initrd = &initrd, .append = "console=ttyS0"};
	struct outcome out = load_bytes(space, data, len, &extras);

	check(space, &out, data, len);
	extras.paging = BOOT_PAGING_SHADOW;
	out = load_bytes(space, data, len, &extras);
	check_pv(space, &out);
	space_destroy(space);
	return 0;
}
