// SPDX-License-Identifier: Apache-2.0
/* ELF notes with the name "Xen"; see elf_notes.h. */
#include "vmm/boot/elf_notes.h"

#include <elf.h>
#include <endian.h>
#include <string.h>

#include "vmm/boot/xen.h"

#define NOTE_NAME "Xen"

static const struct {
	const char *name;
	u32 number;
} features[] = {
#define FEATURE(f)              \
	{                       \
#f, XENFEAT_##f \
	}
	FEATURE(writable_page_tables),	  FEATURE(writable_descriptor_tables),
	FEATURE(auto_translated_physmap), FEATURE(supervisor_mode_kernel),
	FEATURE(pae_pgdir_above_4gb),	  FEATURE(mmu_pt_update_preserve_ad),
	FEATURE(highmem_assist),	  FEATURE(gnttab_map_avail_bits),
	FEATURE(hvm_callback_vector),	  FEATURE(dom0),
#undef FEATURE
};

/* False when no number has @len bytes; then @v stays as it is. */
static bool take_number(struct elf_value *v, const u8 *desc, u32 len)
{
	u64 value = 0;

	if (len != sizeof(u32) && len != sizeof(u64))
		return false;
	memcpy(&value, desc, len);
	*v = (struct elf_value){true, le64toh(value)};
	return true;
}

static u64 feature_bit(const u8 *name, u64 len)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (len == strlen(features[i].name) && !memcmp(name, features[i].name, len))
			return (u64)1 << features[i].number;
	return ELF_FEATURE_UNKNOWN;
}

/* "one|!two|three": the kernel can do with all, and not without two. */
static void take_features(struct elf_notes *found, const u8 *text, u64 len)
{
	u64 end;

	len = strnlen((const char *)text, len);
	for (u64 at = 0; at < len; at = end + 1) {
		const u8 *bar = memchr(text + at, '|', len - at);
		bool required = text[at] == '!';
		u64 bit;

		end = bar ? (u64)(bar - text) : len;
		at += required;
		bit = feature_bit(text + at, end - at);
		found->features_supported |= bit & ~ELF_FEATURE_UNKNOWN;
		found->features_required |= required ? bit : 0;
	}
}

/* Where the number of a note of Xen PV belongs; NULL for other types. */
static struct elf_value *number_of(struct elf_notes *found, u32 type)
{
	switch (type) {
	case XEN_ELFNOTE_ENTRY:
		return &found->entry;
	case XEN_ELFNOTE_HYPERCALL_PAGE:
		return &found->hypercall_page;
	case XEN_ELFNOTE_VIRT_BASE:
		return &found->virt_base;
	case XEN_ELFNOTE_PADDR_OFFSET:
		return &found->paddr_offset;
	case XEN_ELFNOTE_HV_START_LOW:
		return &found->hv_start_low;
	case XEN_ELFNOTE_INIT_P2M:
		return &found->init_p2m;
	case XEN_ELFNOTE_MOD_START_PFN:
		return &found->mod_start_pfn;
	default:
		return NULL;
	}
}

static void take_note(struct elf_notes *found, u32 type, const u8 *desc, u32 len)
{
	struct elf_value *number = number_of(found, type), supported;

	if (number && !take_number(number, desc, len))
		found->odd = type;
	else if (type == XEN_ELFNOTE_SUPPORTED_FEATURES && take_number(&supported, desc, len))
		found->features_supported |= supported.value;
	else if (type == XEN_ELFNOTE_SUPPORTED_FEATURES)
		found->odd = type;
	else if (type == XEN_ELFNOTE_FEATURES)
		take_features(found, desc, len);
	else if (type == XEN_ELFNOTE_GUEST_OS)
		found->linux = len >= 5 && !memcmp(desc, "linux", 5);
	else if (type == XEN_ELFNOTE_PHYS32_ENTRY)
		take_number(&found->pvh_entry, desc, len);
}

/*
 * A note is a header of three words, a name and a description, each padded. The last padding may be
 * missing.
 */
void elf_notes_scan(struct elf_notes *found, const u8 *at, u64 len, u64 pad)
{
	Elf64_Nhdr nh;

	while (len >= sizeof(nh)) {
		u64 desc, next;

		memcpy(&nh, at, sizeof(nh));
		desc = align_up(sizeof(nh) + nh.n_namesz, pad);
		if (!range_fits(desc, nh.n_descsz, len))
			return;
		if (nh.n_namesz == sizeof(NOTE_NAME) &&
		    !memcmp(at + sizeof(nh), NOTE_NAME, sizeof(NOTE_NAME)))
			take_note(found, nh.n_type, at + desc, nh.n_descsz);
		next = MIN(align_up(desc + nh.n_descsz, pad), len);
		at += next;
		len -= next;
	}
}
