// SPDX-License-Identifier: Apache-2.0
/*
 * Large memory for the time of one function. It comes from the kernel and goes back to it: malloc()
 * would keep megabytes at hand for the rest of the guest's life (freeing one large block raises the
 * size from which glibc asks the kernel), and a VMM that sits beside a thousand others may not.
 */
#ifndef QUIRE_VMM_BOOT_SCRATCH_H
#define QUIRE_VMM_BOOT_SCRATCH_H

#include <sys/mman.h>

#include "mm/base/base.h"

/*
 * Zeroed memory, resident as it is touched, 2 MiB at a time where the host can. NULL: none is left.
 */
static inline u8 *scratch_map(u64 size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, size, MADV_HUGEPAGE);
	return at;
}

static inline void scratch_unmap(u8 *at, u64 size)
{
	if (at)
		munmap(at, size);
}

#endif
