// SPDX-License-Identifier: Apache-2.0
/*
 * A file of the host's that a guest is made from: opened for reading, known by a name for
 * sentences, of a size that was asked once. Reads go by offset, straight to where the data is
 * wanted.
 *
 * The file may change under us; then a read fails. Nothing is mapped, so that a file cut short by
 * someone else is an error and not a SIGBUS.
 */
#ifndef QUIRE_VMM_BOOT_HOSTFILE_H
#define QUIRE_VMM_BOOT_HOSTFILE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

#define HOSTFILE_NAME 160

struct hostfile {
	int fd;
	u64 size;
	char name[HOSTFILE_NAME]; /* "kernel /boot/vmlinuz": how a sentence about it begins */
};

/*
 * Open the regular, non-empty file @path. @role is what it is to the guest and also the name of the
 * option that gave it, "kernel" or "initrd". -errno and a sentence; nothing is left open then.
 */
int hostfile_open(struct hostfile *f, const char *role, const char *path, struct err *err);
void hostfile_close(struct hostfile *f);

/* Read just @len bytes from @offset on; the caller has checked them against f->size. */
int hostfile_read(const struct hostfile *f, u64 offset, void *to, u64 len, struct err *err);

#endif
