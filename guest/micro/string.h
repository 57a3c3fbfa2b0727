// SPDX-License-Identifier: Apache-2.0
/* The four functions that a compiler expects to find even where there is no C library. */
#ifndef QUIRE_GUEST_MICRO_STRING_H
#define QUIRE_GUEST_MICRO_STRING_H

#include <stddef.h>

void *memset(void *to, int byte, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
int memcmp(const void *left, const void *right, size_t count);

#endif
