// SPDX-License-Identifier: Apache-2.0
/* Numbers as people read them; the contract is in text.h. */
#include "tools/top/text.h"

#include <math.h>
#include <stdio.h>

/* With one decimal while that fits into four characters. */
static struct text scaled(double value, const char *unit)
{
	char buf[64];
	struct text out;
	double tenths = floor(value * 10 + 0.5);
	int whole = value >= 99.95 || fmod(tenths, 10) == 0;

	snprintf(buf, sizeof(buf), "%.*f%s", whole ? 0 : 1, value, unit);
	snprintf(out.s, sizeof(out.s), "%.*s", TEXT_WIDTH, buf);
	return out;
}

/*
 * @n in the largest of @units that keeps it at one or more. @step is the ratio of one unit to the
 * one before; what would round up to a whole step goes to the next.
 */
static struct text in_units(double n, double step, const char *const units[], size_t nr)
{
	size_t unit = 0;

	while (unit + 1 < nr && n >= step - 0.5) {
		n /= step;
		unit++;
	}
	return scaled(n, units[unit]);
}

struct text text_size(u64 bytes)
{
	static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};

	return in_units((double)bytes, 1024, units, ARRAY_SIZE(units));
}

struct text text_count(u64 n)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
	struct text out;

	if (n >= 10000)
		return in_units((double)n, 1000, units, ARRAY_SIZE(units));
	snprintf(out.s, sizeof(out.s), "%u", (unsigned int)n);
	return out;
}

struct text text_time(u64 ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};

	if (ns >= (u64)9999 * 1000000000)
		return (struct text){"hours"};
	return in_units((double)ns, 1000, units, ARRAY_SIZE(units));
}

struct text text_share(double share)
{
	if (!(share >= 0))
		return (struct text){"?"};
	if (share >= 100)
		return (struct text){">9999%"};
	if (share > 0 && share < 0.0005)
		return (struct text){"<0.1%"};
	return scaled(100 * share, "%");
}

struct text text_real(double x)
{
	struct text out;

	if (!(x >= 0))
		return (struct text){"?"};
	if (x >= 10000)
		return text_count(x < 1e18 ? (u64)x : (u64)1e18);
	if (x >= 10 || x == 0)
		return scaled(x, "");
	snprintf(out.s, sizeof(out.s), "%.2f", x);
	return out;
}
