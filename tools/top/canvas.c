// SPDX-License-Identifier: Apache-2.0
/* The grid on which a frame is drawn; the contract is in canvas.h. */
#include "tools/top/canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static int clamp(int n, int low, int high)
{
	return MIN(MAX(n, low), high);
}

int canvas_init(struct canvas *c, int width, int height)
{
	c->width = clamp(width, 1, CANVAS_MAX);
	c->height = clamp(height, 1, CANVAS_MAX);
	c->cells = malloc((size_t)c->width * (size_t)c->height * sizeof(*c->cells));
	if (!c->cells)
		return -ENOMEM;
	canvas_clear(c);
	return 0;
}

void canvas_fini(struct canvas *c)
{
	free(c->cells);
	c->cells = NULL;
}

void canvas_clear(struct canvas *c)
{
	for (int i = 0; i < c->width * c->height; i++)
		c->cells[i] = (struct cell){.ch = ' ', .style = STYLE_PLAIN};
}

static int row_length(const struct canvas *c, int y)
{
	const struct cell *row = &c->cells[y * c->width];
	int len = c->width;

	while (len && row[len - 1].ch == ' ')
		len--;
	return len;
}

void canvas_print(const struct canvas *c, FILE *out)
{
	int height = c->height;

	while (height && !row_length(c, height - 1))
		height--;
	for (int y = 0; y < height; y++) {
		int len = row_length(c, y);

		for (int x = 0; x < len; x++)
			putc(c->cells[y * c->width + x].ch, out);
		putc('\n', out);
	}
}

struct area canvas_area(struct canvas *c)
{
	return (struct area){.canvas = c, .width = c->width, .height = c->height};
}

struct area area_sub(const struct area *a, int x, int y, int width, int height)
{
	x = clamp(x, 0, MAX(a->width, 0));
	y = clamp(y, 0, MAX(a->height, 0));
	return (struct area){
		.canvas = a->canvas,
		.x = a->x + x,
		.y = a->y + y,
		.width = MIN(width, a->width - x),
		.height = MIN(height, a->height - y),
	};
}

struct area area_take(struct area *a, int height)
{
	struct area top = area_sub(a, 0, 0, a->width, height);

	*a = area_sub(a, 0, MAX(top.height, 0), a->width, a->height);
	return top;
}

void area_put(const struct area *a, int x, int y, enum style style, char ch)
{
	if (x < 0 || y < 0 || x >= a->width || y >= a->height)
		return;
	if (ch < ' ' || ch > '~')
		ch = '?';
	a->canvas->cells[(a->y + y) * a->canvas->width + a->x + x] =
		(struct cell){.ch = ch, .style = (u8)style};
}

void area_fill(const struct area *a, enum style style)
{
	for (int y = 0; y < a->height; y++)
		for (int x = 0; x < a->width; x++)
			area_put(a, x, y, style, ' ');
}

int area_text(const struct area *a, int x, int y, enum style style, const char *text)
{
	for (; *text; text++)
		area_put(a, x++, y, style, *text);
	return x;
}

int area_printf(const struct area *a, int x, int y, enum style style, const char *fmt, ...)
{
	char text[CANVAS_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return area_text(a, x, y, style, text);
}
