// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers as people read them, never wider than TEXT_WIDTH characters, so that columns hold
 * whatever a guest's process says.
 */
#ifndef QUIRE_TOOLS_TOP_TEXT_H
#define QUIRE_TOOLS_TOP_TEXT_H

#include "mm/base/base.h"

#define TEXT_WIDTH 6

struct text {
	char s[TEXT_WIDTH + 1];
};

/* "0", "4K", "1.5G", "512M": binary units of bytes. */
struct text text_size(u64 bytes);

/* "0", "9999", "12.3k", "1.2M": decimal units. */
struct text text_count(u64 n);

/* "0ns", "850ns", "12.3us", "1.2ms", "3.4s". */
struct text text_time(u64 ns);

/* "0%", "0.4%", "12%", "100%". What is no share (negative, NaN) shows as "?". */
struct text text_share(double share);

/* "0", "0.25", "3.5", "120": for ratios and rates. */
struct text text_real(double x);

#endif
