// SPDX-License-Identifier: Apache-2.0
/*
 * One line of output, put together piece by piece in a buffer of its own. What does not fit is cut
 * off: a line is never longer than LINE_BYTES bytes with its newline, and always complete.
 */
#ifndef QUIRE_GUEST_WORK_LINE_H
#define QUIRE_GUEST_WORK_LINE_H

#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 240

struct line {
	unsigned int length;
	char text[LINE_BYTES + 1]; /* always ends with a zero, which .length does not count */
};

static inline void line_start(struct line *line)
{
	line->length = 0;
	line->text[0] = 0;
}

/* Append a string; append @length bytes. */
void line_text(struct line *line, const char *text);
void line_bytes(struct line *line, const char *bytes, size_t length);

/*
 * Append @format, in which each '%' is followed by one letter and stands for one of the numbers:
 *	%u decimal	%x hexadecimal with 0x	%m thousandths as a decimal fraction ("1.250")
 * Call it as line_add(), which makes every argument a uint64_t, whatever its type was.
 */
void line_format(struct line *line, const char *format, const uint64_t *numbers);

#define line_add(line, format, ...) line_format(line, format, (const uint64_t[]){__VA_ARGS__})

/* Append the newline, for which there is always room. */
void line_end(struct line *line);

#endif
