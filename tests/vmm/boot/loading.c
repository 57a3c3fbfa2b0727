// SPDX-License-Identifier: Apache-2.0
/* Loading in a test; see loading.h. */
#include "tests/vmm/boot/loading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome load_bytes(struct space *space, const void *data, size_t len,
			  const struct extras *extras)
{
	struct outcome out = {.code = 0};
	struct boot_source src = {.append = extras ? extras->append : NULL,
				  .paging = extras ? extras->paging : BOOT_PAGING_EPT,
				  .nr_cpus = extras ? extras->nr_cpus : 0};
	struct image_file kernel, initrd;
	bool with_initrd = extras && extras->initrd;

	for (unsigned int i = 0; i < space_nr_slots(space); i++)
		if (space_punch(space, space_slot(space, i)->start, space_slot(space, i)->size))
			abort();
	image_file_open(&kernel, data, len);
	src.kernel = kernel.path;
	src.rsdp = gpa(extras ? extras->rsdp : 0);
	if (with_initrd) {
		image_file_open(&initrd, extras->initrd->data, extras->initrd->len);
		src.initrd = initrd.path;
	}
	out.code = boot_load(space, &src, &out.entry, &out.err);
	image_file_close(&kernel);
	if (with_initrd)
		image_file_close(&initrd);
	return out;
}

struct outcome load_image(struct space *space, const struct image *image,
			  const struct extras *extras)
{
	return load_bytes(space, image->data, image->len, extras);
}

bool is_sentence(const struct err *err)
{
	const char *colon = strstr(err->text, ": "), *hint = strrchr(err->text, '(');
	size_t len = strlen(err->text);

	return colon && hint && colon < hint && hint > err->text && hint[-1] == ' ' &&
	       err->text[len - 1] == ')' && !strchr(err->text, '\n') && len < sizeof(err->text) - 1;
}

struct space *space_of(u64 size)
{
	struct space *space;

	if (space_create(&space, size, SPACE_MEMFD))
		abort();
	return space;
}

bool is_refusal(const struct outcome *out, int code, const char *words)
{
	if (out->code == code && is_sentence(&out->err) && strstr(out->err.text, words))
		return true;
	fprintf(stderr, "got %d \"%s\", not %d \"... %s ...\"\n", out->code, out->err.text, code,
		words);
	return false;
}

static void read_or_abort(const struct space *space, u64 at, void *to, u64 len)
{
	if (space_read(space, gpa(at), to, len))
		abort();
}

u64 guest_u64(const struct space *space, u64 at)
{
	u64 value;

	read_or_abort(space, at, &value, sizeof(value));
	return value;
}

u32 guest_u32(const struct space *space, u64 at)
{
	u32 value;

	read_or_abort(space, at, &value, sizeof(value));
	return value;
}

bool guest_is(const struct space *space, u64 at, const void *data, u64 len)
{
	const void *p = space_ptr(space, gpa(at), len);

	return p && !memcmp(p, data, len);
}

bool guest_is_zero(const struct space *space, u64 at, u64 len)
{
	const u8 *p = space_ptr(space, gpa(at), len);

	return p && (!len || (!p[0] && !memcmp(p, p + 1, len - 1)));
}

/* The file has been loaded, so its headers are taken at their word. */
static Elf64_Phdr phdr(const void *data, unsigned int i)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	memcpy(&eh, data, sizeof(eh));
	memcpy(&ph, (const u8 *)data + eh.e_phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

static unsigned int nr_phdrs(const void *data)
{
	Elf64_Ehdr eh;

	memcpy(&eh, data, sizeof(eh));
	return eh.e_phnum;
}

bool guest_has_elf(const struct space *space, const void *data, size_t len)
{
	for (unsigned int i = 0; i < nr_phdrs(data); i++) {
		Elf64_Phdr ph = phdr(data, i);

		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		if (ph.p_filesz > ph.p_memsz || ph.p_offset > len ||
		    ph.p_filesz > len - ph.p_offset)
			return false;
		if (!guest_is(space, ph.p_paddr, (const u8 *)data + ph.p_offset, ph.p_filesz) ||
		    !guest_is_zero(space, ph.p_paddr + ph.p_filesz, ph.p_memsz - ph.p_filesz))
			return false;
	}
	return true;
}

bool elf_covers(const void *data, u64 entry)
{
	for (unsigned int i = 0; i < nr_phdrs(data); i++) {
		Elf64_Phdr ph = phdr(data, i);

		if (ph.p_type == PT_LOAD && entry >= ph.p_paddr &&
		    entry - ph.p_paddr < ph.p_memsz && entry <= UINT32_MAX)
			return true;
	}
	return false;
}
