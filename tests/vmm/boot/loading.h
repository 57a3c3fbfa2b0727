// SPDX-License-Identifier: Apache-2.0
/*
 * Loading an image in a test, and judging the outcome by other means than the loader's own: a naive
 * reading of the file for what must be in memory, and byte offsets of the published formats for
 * what the guest is told.
 */
#ifndef QUIRE_TESTS_VMM_BOOT_LOADING_H
#define QUIRE_TESTS_VMM_BOOT_LOADING_H

#include "tests/vmm/boot/kernel_image.h"
#include "vmm/boot/load.h"

/* What may go with a kernel; all of it may be absent. */
struct extras {
	const struct image *initrd;
	const char *append;
	u64 rsdp;
	enum boot_paging paging;
	unsigned int nr_cpus;
};

struct outcome {
	int code;
	struct err err;
	struct boot_entry entry;
};

/* Load @len bytes at @data into @space, whose memory is zeroed before. */
struct outcome load_bytes(struct space *space, const void *data, size_t len,
			  const struct extras *extras);
struct outcome load_image(struct space *space, const struct image *image,
			  const struct extras *extras);

struct space *space_of(u64 size);

/* A refusal with @code and a sentence that has @words in it; else prints what it was. */
bool is_refusal(const struct outcome *out, int code, const char *words);

/* "what: why (what to do)": how every sentence must look. */
bool is_sentence(const struct err *err);

/* Little-endian words of guest memory; what is not RAM fails the test by abort(). */
u64 guest_u64(const struct space *space, u64 at);
u32 guest_u32(const struct space *space, u64 at);
bool guest_is(const struct space *space, u64 at, const void *data, u64 len);
bool guest_is_zero(const struct space *space, u64 at, u64 len);

/* Whether memory holds each loadable segment of the ELF file, with zeros behind it. */
bool guest_has_elf(const struct space *space, const void *data, size_t len);

/* Whether @entry can be a PVH entry into what guest_has_elf() has found. */
bool elf_covers(const void *data, u64 entry);

#endif
