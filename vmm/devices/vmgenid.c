// SPDX-License-Identifier: Apache-2.0
/* The generation id; what it is for stands in vmgenid.h. */
#include "vmm/devices/vmgenid.h"

#include <errno.h>
#include <sys/random.h>

int vmgenid_new(u8 id[VMGENID_SIZE])
{
	/* So few bytes come all at once. */
	return getrandom(id, VMGENID_SIZE, 0) == VMGENID_SIZE ? 0 : -errno;
}
