// SPDX-License-Identifier: Apache-2.0
/*
 * Kernels from recipes; see kernel_image.h. Anything that fails here is a fault of the test: abort.
 */
#include "tests/vmm/boot/kernel_image.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK	 (8 * MiB)
#define SETUP_HEADER	 0x1f1u

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct image image_new(size_t len)
{
	return (struct image){.data = must(calloc(1, len)), .len = len};
}

void image_free(struct image *image)
{
	free(image->data);
	*image = (struct image){0};
}

void image_fill(u8 *to, size_t len, u32 seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		to[i] = (u8)(seed >> 24);
	}
}

struct elf_recipe elf_recipe_plain(void)
{
	return (struct elf_recipe){
		.type = ET_EXEC,
		.machine = EM_X86_64,
		.class = ELFCLASS64,
		.notes = NOTES_PVH32,
		.note_align = 4,
		.entry = 2 * MiB,
		.nr_segments = 2,
		.segments = {{2 * MiB, 700, 700}, {2 * MiB + 0x1000, 300, 0x3000}},
	};
}

void elf_recipe_note(struct elf_recipe *r, u32 type, u64 value, u32 len)
{
	u32 i = 0;

	while (i < r->nr_xen && r->xen[i].type != type)
		i++;
	if (i == ARRAY_SIZE(r->xen) || len > sizeof(value))
		abort();
	r->nr_xen += i == r->nr_xen;
	r->xen[i].type = type;
	r->xen[i].len = len;
	r->xen[i].value = value;
	r->xen[i].text = NULL;
	if (!len)
		r->xen[i] = r->xen[--r->nr_xen];
}

struct elf_recipe elf_recipe_pv(void)
{
	static const char features[] = "!writable_page_tables|pae_pgdir_above_4gb";
	struct elf_recipe r = elf_recipe_plain();

	r.linux = true;
	elf_recipe_note(&r, 3, ELF_RECIPE_PV_BASE, 8);
	elf_recipe_note(&r, 15, ELF_RECIPE_PV_P2M, 8);
	elf_recipe_note(&r, 1, ELF_RECIPE_PV_BASE + r.entry + 5, 8);
	elf_recipe_note(&r, 10, 0, 4);
	r.xen[3].len = sizeof(features) - 1;
	r.xen[3].text = features;
	elf_recipe_note(&r, 17, 0x8801, 4);
	elf_recipe_note(&r, 16, 1, 4);
	elf_recipe_note(&r, 12, 0xffff800000000000, 8);
	elf_recipe_note(&r, 4, 0, 8);
	return r;
}

static size_t put_note(u8 *to, const struct elf_recipe *r, u32 type, const void *desc, u32 len)
{
	Elf64_Nhdr nh = {.n_namesz = 4, .n_descsz = len, .n_type = type};

	memcpy(to, &nh, sizeof(nh));
	memcpy(to + sizeof(nh), "Xen", 4);
	memcpy(to + sizeof(nh) + 4, desc, len);
	return align_up(sizeof(nh) + 4 + len, r->note_align);
}

/* A note of somebody else's comes first, as linkers leave them. */
static size_t put_notes(u8 *to, const struct elf_recipe *r)
{
	u64 entry = r->entry;
	size_t len = 0;

	if (r->notes == NOTES_NONE && !r->linux && !r->nr_xen)
		return 0;
	len += put_note(to, r, 6, "other", 6);
	memcpy(to + sizeof(Elf64_Nhdr), "GNU", 4);
	if (r->linux)
		len += put_note(to + len, r, 6, "linux", 6);
	for (u32 i = 0; i < r->nr_xen; i++) {
		const void *desc = &r->xen[i].value;

		desc = r->xen[i].text ? r->xen[i].text : desc;
		len += put_note(to + len, r, r->xen[i].type, desc, r->xen[i].len);
	}
	if (r->notes != NOTES_NONE)
		len += put_note(to + len, r, 18, &entry, r->notes == NOTES_PVH32 ? 4 : 8);
	return len;
}

struct image elf_image(const struct elf_recipe *r)
{
	u8 notes[1024];
	size_t notes_len = put_notes(memset(notes, 0, sizeof(notes)), r);
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, r->class, ELFDATA2LSB, EV_CURRENT},
		.e_type = r->type,
		.e_machine = r->machine,
		.e_version = EV_CURRENT,
		.e_phoff = ELF_IMAGE_PHDRS,
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (u16)(r->nr_segments + 1),
	};
	u64 at = ELF_IMAGE_PHDRS + eh.e_phnum * sizeof(Elf64_Phdr), end = at + notes_len;
	struct image image;
	Elf64_Phdr ph = {PT_NOTE, 0, at, 0, 0, notes_len, notes_len, r->note_align};

	for (u32 i = 0; i < r->nr_segments; i++)
		end += r->segments[i].filesz;
	image = image_new(end);
	memcpy(image.data, &eh, sizeof(eh));
	memcpy(image.data + ELF_IMAGE_PHDRS + r->nr_segments * sizeof(ph), &ph, sizeof(ph));
	memcpy(image.data + at, notes, notes_len);
	at += notes_len;
	for (u32 i = 0; i < r->nr_segments; i++) {
		ph = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_offset = at,
			.p_paddr = r->segments[i].paddr,
			.p_vaddr = r->segments[i].paddr,
			.p_filesz = r->segments[i].filesz,
			.p_memsz = r->segments[i].memsz,
		};
		memcpy(image.data + ELF_IMAGE_PHDRS + i * sizeof(ph), &ph, sizeof(ph));
		image_fill(image.data + at, ph.p_filesz, i + 1);
		at += ph.p_filesz;
	}
	return image;
}

static size_t pack_lz4(struct image *out, const struct image *in)
{
	const u32 magic = LZ4_LEGACY_MAGIC;
	size_t len = sizeof(magic);

	memcpy(out->data, &magic, sizeof(magic));
	for (size_t at = 0; at < in->len; at += LZ4_BLOCK) {
		int n = LZ4_compress_default(
			(const char *)in->data + at, (char *)out->data + len + sizeof(u32),
			(int)MIN(in->len - at, LZ4_BLOCK), (int)(out->len - len - sizeof(u32)));
		u32 size = (u32)n;

		if (n <= 0)
			abort();
		memcpy(out->data + len, &size, sizeof(size));
		len += sizeof(size) + size;
	}
	return len;
}

static size_t pack_gzip(struct image *out, const struct image *in)
{
	z_stream z = {
		.next_in = in->data,
		.avail_in = (uInt)in->len,
		.next_out = out->data,
		.avail_out = (uInt)out->len,
	};

	if (deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_zstd(struct image *out, const struct image *in)
{
	size_t n = ZSTD_compress(out->data, out->len, in->data, in->len, 3);

	if (ZSTD_isError(n))
		abort();
	return n;
}

static size_t pack_xz(struct image *out, const struct image *in)
{
	static const u8 magic[] = {0xfd, '7', 'z', 'X', 'Z', 0};

	(void)in;
	memcpy(out->data, magic, sizeof(magic));
	return 64;
}

struct image packed_image(enum packing packing, const struct image *in)
{
	static size_t (*const pack[NR_PACKINGS])(struct image * out, const struct image *in) = {
		[PACK_LZ4] = pack_lz4,
		[PACK_GZIP] = pack_gzip,
		[PACK_ZSTD] = pack_zstd,
		[PACK_XZ] = pack_xz,
	};
	struct image out = image_new(in->len + in->len / 8 + 4096);
	u32 size = (u32)in->len;

	out.len -= sizeof(size);
	out.len = pack[packing](&out, in);
	if (packing != PACK_GZIP) {
		memcpy(out.data + out.len, &size, sizeof(size));
		out.len += sizeof(size);
	}
	return out;
}

struct bzimage_recipe bzimage_recipe_plain(enum packing packing)
{
	return (struct bzimage_recipe){
		.version = 0x020f,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = 2 * MiB,
		.init_size = 1 * MiB,
		.cmdline_size = 1000,
		.initrd_addr_max = 0x7fffffff,
		.packing = packing,
		.tail = 77,
	};
}

struct image bzimage_image(const struct bzimage_recipe *r, const struct image *kernel)
{
	struct image payload = packed_image(r->packing, kernel);
	struct image image =
		image_new(align_up(BZIMAGE_CODE + BZIMAGE_PAYLOAD + payload.len + r->tail, 16));
	struct setup_header h = {
		.setup_sects = 1,
		.syssize = (u32)(image.len - BZIMAGE_CODE) / 16,
		.boot_flag = 0xaa55,
		.jump = 0xeb | (sizeof(h) - 0x11) << 8, /* to the header's end, from 0x202 */
		.header = 0x53726448,
		.version = r->version,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = r->initrd_addr_max,
		.cmdline_size = r->cmdline_size,
		.xloadflags = r->xloadflags,
		.payload_offset = BZIMAGE_PAYLOAD,
		.payload_length = (u32)payload.len,
		.pref_address = r->pref_address,
		.init_size = r->init_size,
	};

	image_fill(image.data, image.len, 99);
	memset(image.data + SETUP_HEADER + sizeof(h), 0, BZIMAGE_CODE - SETUP_HEADER - sizeof(h));
	memcpy(image.data + SETUP_HEADER, &h, sizeof(h));
	memcpy(image.data + BZIMAGE_CODE + BZIMAGE_PAYLOAD, payload.data, payload.len);
	image_free(&payload);
	return image;
}

void image_file_open(struct image_file *f, const void *data, size_t len)
{
	f->fd = memfd_create("image", MFD_CLOEXEC);
	if (f->fd < 0 || write(f->fd, data, len) != (ssize_t)len)
		abort();
	snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

void image_file_close(struct image_file *f)
{
	close(f->fd);
}
