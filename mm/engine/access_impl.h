// SPDX-License-Identifier: Apache-2.0
/* Birth and death of what access.c owns. For mem.c alone; accesses are in access.h. */
#ifndef QUIRE_MM_ENGINE_ACCESS_IMPL_H
#define QUIRE_MM_ENGINE_ACCESS_IMPL_H

struct mem;

/*
 * What a restored guest differs from its image by counts from its first moment; of others nothing
 * is noted before somebody asks. 0 or -ENOMEM.
 */
int access_init(struct mem *m);
void access_fini(struct mem *m);

#endif
