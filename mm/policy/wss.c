// SPDX-License-Identifier: Apache-2.0
/*
 * Working set and miss-ratio curve from samples. Contract in wss.h.
 *
 * The slope of W at memory m is taken between the samples at the shares m - h and m + h. Between
 * them W is taken to be straight over the logarithm of t: reference intervals of real programs
 * spread over decades, so that W(t) bends much less over log t, and where it is straight over t (a
 * sweep) this errs by (h/m)^2 / 3, some 5% at most with h at most 0.4 m. With 1024 samples some 300
 * lie between for m = 0.5, for a standard error of 6%; at m = 0.1 it is 11%.
 *
 * The true curve never rises with memory; the estimated one is made so by averaging neighbours that
 * do, which is the least-squares fit under that condition.
 */
#include "mm/policy/wss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.96
/* Fewer samples say nothing about a slope. */
#define CURVE_LEAST 100

/* Touches closer together than a guest's trap cannot be told apart. */
#define RESOLUTION_S 1e-4

#define SLOPE_H	    0.15 /* most share of samples to either side */
#define SLOPE_PART  0.4	 /* and most part of the share itself */
#define SLOPE_LEAST 0.05 /* below this share there are too few */
#define NS_PER_S    1e9

/*
 * Two functions of libm, right to a millionth, which is plenty for statistics. The library itself
 * would be one more to load at each start of a guest. frexp() is libc's.
 */
static double root(double x)
{
	double y = x > 1 ? x : 1;

	/* each step at least halves what y is too large by, and soon squares it */
	for (int i = 0; i < 40 && y * y > x * (1 + 1e-12); i++)
		y = (y + x / y) / 2;
	return x > 0 ? y : 0;
}

static double ln(double x)
{
	int exponent;
	double y = frexp(x, &exponent), sum = 0, power;

	/* ln y = 2 artanh((y - 1) / (y + 1)); the argument is at most 1/3 */
	y = (y - 1) / (y + 1);
	power = y;
	for (int i = 1; i < 16; i += 2, power *= y * y)
		sum += power / i;
	return 2 * sum + exponent * 0.69314718055994531;
}

void wss_init(struct wss *wss, u64 window_ns)
{
	wss->window_ns = window_ns;
	wss->nr = wss->next = 0;
}

void wss_add(struct wss *wss, u64 after_ns)
{
	/* seen late: the engine looks at its watch when it gets to it */
	wss->after_ns[wss->next] = after_ns > wss->window_ns ? WSS_NEVER : after_ns;
	wss->next = (wss->next + 1) % WSS_SAMPLES;
	wss->nr = MIN(wss->nr + 1, (u32)WSS_SAMPLES);
}

/* Wilson's score interval at 95%. */
static void wilson(u32 hits, u32 n, struct wss_estimate *out)
{
	double p = (double)hits / n, zz = Z95 * Z95;
	double middle = (p + zz / (2.0 * n)) / (1 + zz / n);
	double half = Z95 / (1 + zz / n) * root(p * (1 - p) / n + zz / (4.0 * n * n));

	*out = (struct wss_estimate){
		.share = p,
		.low = middle > half ? MIN(middle - half, p) : 0,
		.high = middle + half < 1 ? MAX(middle + half, p) : 1,
		.samples = n,
	};
}

void wss_estimate(const struct wss *wss, u64 t_ns, struct wss_estimate *out)
{
	u64 t = MIN(t_ns, wss->window_ns);
	u32 hits = 0;

	*out = (struct wss_estimate){.high = 1};
	for (u32 i = 0; i < wss->nr; i++)
		hits += wss->after_ns[i] <= t;
	if (wss->nr)
		wilson(hits, wss->nr, out);
}

/* ---- the curve ---- */

/* Times to the next reference in order, those that never came last. */
struct sorted {
	u64 after_ns[WSS_SAMPLES];
	u32 nr, touched; /* samples; of them, that were touched within the window */
};

static int by_time(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void sort_samples(const struct wss *wss, struct sorted *s)
{
	s->nr = wss->nr;
	s->touched = 0;
	memcpy(s->after_ns, wss->after_ns, wss->nr * sizeof(s->after_ns[0]));
	qsort(s->after_ns, s->nr, sizeof(s->after_ns[0]), by_time);
	while (s->touched < s->nr && s->after_ns[s->touched] != WSS_NEVER)
		s->touched++;
}

/* The time at which the share @q of all pages has been touched, in seconds: W read backwards. */
static double time_of(const struct sorted *s, double q)
{
	double at = q * s->nr - 0.5, part;
	u32 i = at > 0 ? (u32)at : 0, j = MIN(i + 1, s->touched - 1);

	i = MIN(i, s->touched - 1);
	part = at > i ? MIN(at - i, 1) : 0;
	return ((double)s->after_ns[i] * (1 - part) + (double)s->after_ns[j] * part + 1) / NS_PER_S;
}

/* dW/dt / M at the time at which W is @q: the share of memory that is missed in a second. */
static double slope(const struct sorted *s, double q)
{
	double touched = (double)s->touched / s->nr, h = MIN(SLOPE_H, q * SLOPE_PART);
	double low, high, from, to;

	if (!s->touched || q > touched)
		return 0;
	if (q < SLOPE_LEAST) {
		/* from the origin, where there is no logarithm */
		high = MIN(SLOPE_LEAST, touched);
		return high / time_of(s, high);
	}
	/* at the upper end the point stays in the middle, so that the slope is that point's */
	h = MIN(h, MAX(touched - q, SLOPE_LEAST / 2));
	low = q - h;
	high = MIN(q + h, touched);
	from = time_of(s, low);
	to = time_of(s, high);
	if (to <= from)
		return (high - low) / RESOLUTION_S; /* all at once: as fast as can be told */
	return (high - low) / (time_of(s, q) * ln(to / from));
}

double wss_faults(const struct wss *wss, u64 nr_pages, double memory)
{
	struct sorted s;

	if (wss->nr < CURVE_LEAST)
		return 0;
	sort_samples(wss, &s);
	return slope(&s, memory) * (double)nr_pages;
}

/* Pool neighbours that rise until none does: each pool has the mean of its points. */
static void make_falling(struct wss_point *points, u32 n)
{
	double mean[WSS_CURVE_POINTS];
	u32 size[WSS_CURVE_POINTS], nr = 0, at = 0;

	for (u32 i = 0; i < n; i++) {
		mean[nr] = points[i].faults;
		size[nr++] = 1;
		for (; nr > 1 && mean[nr - 2] < mean[nr - 1]; nr--) {
			mean[nr - 2] = (mean[nr - 2] * size[nr - 2] + mean[nr - 1] * size[nr - 1]) /
				       (size[nr - 2] + size[nr - 1]);
			size[nr - 2] += size[nr - 1];
		}
	}
	for (u32 i = 0; i < nr; i++)
		for (u32 k = 0; k < size[i]; k++)
			points[at++].faults = mean[i];
}

void wss_curve(const struct wss *wss, u64 nr_pages, struct wss_point out[WSS_CURVE_POINTS])
{
	struct sorted s;

	sort_samples(wss, &s);
	for (u32 i = 0; i < WSS_CURVE_POINTS; i++) {
		out[i].memory = (double)i / (WSS_CURVE_POINTS - 1);
		out[i].faults = s.nr < CURVE_LEAST ? 0
						   : slope(&s, out[i].memory) * (double)nr_pages;
	}
	make_falling(out, WSS_CURVE_POINTS);
}

double wss_sample_rate(const struct wss *wss, double budget, u64 fault_ns)
{
	struct wss_estimate e;

	/* the upper end of the interval: while little is known, each sample is taken to fault */
	wss_estimate(wss, wss->window_ns, &e);
	return budget / (e.high * (double)MAX(fault_ns, (u64)1) / NS_PER_S);
}
