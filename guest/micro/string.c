// SPDX-License-Identifier: Apache-2.0
/*
 * Memory functions: see string.h. String instructions are as fast as anything else on a whole page.
 */
#include <stdint.h>

#include "guest/micro/string.h"

void *memset(void *to, int byte, size_t count)
{
	void *p = to;

	__asm__ volatile("rep stosb" : "+D"(p), "+c"(count) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
	void *p = to;

	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(count) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t count)
{
	unsigned char *p = to;
	const unsigned char *q = from;

	if ((uintptr_t)to - (uintptr_t)from >= count)
		return memcpy(to, from, count);
	while (count--)
		p[count] = q[count];
	return to;
}

int memcmp(const void *left, const void *right, size_t count)
{
	const unsigned char *p = left;
	const unsigned char *q = right;

	for (size_t i = 0; i < count; i++)
		if (p[i] != q[i])
			return p[i] - q[i];
	return 0;
}
