// SPDX-License-Identifier: Apache-2.0
/* Bounded output lines: see line.h. No varargs, no locale, no floating point. */
#include "guest/work/line.h"

/* Room for the newline is kept back, so that line_end() cannot fail. */
static void put(struct line *line, char c)
{
	if (line->length >= LINE_BYTES - 1)
		return;
	line->text[line->length++] = c;
	line->text[line->length] = 0;
}

void line_text(struct line *line, const char *text)
{
	while (*text)
		put(line, *text++);
}

void line_bytes(struct line *line, const char *bytes, size_t length)
{
	while (length--)
		put(line, *bytes++);
}

/* @value in @base, with at least @digits digits. */
static void put_number(struct line *line, uint64_t value, unsigned int base, unsigned int digits)
{
	char reversed[20]; /* 2^64 has 20 decimal digits */
	unsigned int n = 0;

	do {
		reversed[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value || n < digits);
	while (n)
		put(line, reversed[--n]);
}

static void put_directive(struct line *line, char directive, uint64_t number)
{
	switch (directive) {
	case 'u':
		put_number(line, number, 10, 1);
		break;
	case 'x':
		line_text(line, "0x");
		put_number(line, number, 16, 1);
		break;
	case 'm':
		put_number(line, number / 1000, 10, 1);
		put(line, '.');
		put_number(line, number % 1000, 10, 3);
		break;
	}
}

void line_format(struct line *line, const char *format, const uint64_t *numbers)
{
	for (; *format; format++) {
		if (*format != '%')
			put(line, *format);
		else if (*++format)
			put_directive(line, *format, *numbers++);
		else
			break;
	}
}

void line_end(struct line *line)
{
	line->text[line->length++] = '\n';
	line->text[line->length] = 0;
}
