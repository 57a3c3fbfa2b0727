// SPDX-License-Identifier: Apache-2.0
/*
 * The words every file speaks: fixed-width integers, sizes, alignment, and ASSERT.
 *
 * Three kinds of wrong, three words. The guest's fault ends that guest (vm_fail() in vmm/vm/vm.h).
 * The world's fault comes back as -errno. Our own fault is an ASSERT: always compiled in, without
 * side effects, and never used on anything that came from outside.
 */
#ifndef QUIRE_MM_BASE_BASE_H
#define QUIRE_MM_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/param.h> /* MIN, MAX */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define KiB ((u64)1 << 10)
#define MiB ((u64)1 << 20)
#define GiB ((u64)1 << 30)

/*
 * The unit of guest memory state. Not the host's page size by accident: x86 has no other base size.
 */
#define PAGE_SHIFT 12
#define PAGE_SIZE  ((u64)1 << PAGE_SHIFT)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

_Noreturn void assert_failed(const char *expr, const char *file, int line);

#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))

/*
 * Round @x down, up, to a multiple of @to, a power of two. align_up() needs @x + @to not to wrap.
 */
static inline u64 align_down(u64 x, u64 to)
{
	return x & ~(to - 1);
}

static inline u64 align_up(u64 x, u64 to)
{
	return align_down(x + to - 1, to);
}

/* Whether [start, start + len) lies inside [0, limit), with no sum that could wrap. */
static inline bool range_fits(u64 start, u64 len, u64 limit)
{
	return start <= limit && len <= limit - start;
}

#endif
