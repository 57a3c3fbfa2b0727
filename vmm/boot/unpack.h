// SPDX-License-Identifier: Apache-2.0
/*
 * Unpacking the payload of a bzImage on the host: in the guest it would be done by one vCPU, slowly
 * where that is emulated, and for a kernel that has an entry of its own it need not be done there.
 *
 * The formats, as the kernel's build makes them; each ends in the unpacked size, 32 bits
 * little-endian:
 *
 *   LZ4   legacy frame (lz4 -l): 0x184c2102, then blocks of a u32 length and data, each of 8 MiB
 *         when unpacked except the last; then the size
 *   gzip  RFC 1952; the size is the member's own ISIZE
 *   zstd  RFC 8878 frames; then the size
 */
#ifndef QUIRE_VMM_BOOT_UNPACK_H
#define QUIRE_VMM_BOOT_UNPACK_H

#include "vmm/boot/hostfile.h"
#include "vmm/boot/kernel_image.h"

/* No kernel is near this size when unpacked; a file that claims more is made to hurt. */
#define UNPACK_MAX (512 * MiB)

/* Packed data in a file; the range has been checked against the file's size. */
struct unpack_source {
	const struct hostfile *file;
	u64 offset;
	u64 len;
};

/*
 * Unpack @src into @sink: pieces in order and without gaps, the first of at least 1 MiB where there
 * is as much. What memory it takes is given back before it returns.
 *
 * Returns -ENOTSUP, without a sentence, for a format that is none of these; -ENOEXEC for data that
 * is damaged, longer or shorter than it says, or beyond UNPACK_MAX; else what the sink or the host
 * said.
 */
int unpack(const struct unpack_source *src, image_sink sink, void *opaque, struct err *err);

#endif
