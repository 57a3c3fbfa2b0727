// SPDX-License-Identifier: Apache-2.0
/*
 * Quiet time, see quiet.h: what the clock says, less the time in which a runnable task of the host
 * had no processor (Linux, Documentation/accounting/psi.rst), less what hypervisors took from its
 * processors (the eighth figure of /proc/stat). Both are of the whole host: rather too much is
 * subtracted than too little.
 */
#include "tests/lib/quiet.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "mm/base/clock.h"

/* The first line of @path; "" when there is none. */
static void read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, size, file))
		line[0] = '\0';
	fclose(file);
}

/* False where the host does not say. */
static bool time_waited(u64 *us)
{
	unsigned long long total;
	char line[512];

	read_line("/proc/pressure/cpu", line, sizeof(line));
	if (sscanf(line, "some avg10=%*s avg60=%*s avg300=%*s total=%llu", &total) != 1)
		return false;
	*us = total;
	return true;
}

static u64 ticks_stolen(void)
{
	unsigned long long ticks = 0;
	char line[512];

	read_line("/proc/stat", line, sizeof(line));
	if (sscanf(line, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1)
		return 0;
	return ticks;
}

/* Adds what was quiet since the last call; who lost time on several processors lost it once. */
u64 quiet_ns(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static u64 last, last_busy, quiet;
	u64 now, waited_us, busy, sum;

	pthread_mutex_lock(&lock);
	now = now_ns();
	if (time_waited(&waited_us)) {
		busy = waited_us * 1000 + ticks_stolen() * (1000000000 / (u64)sysconf(_SC_CLK_TCK));
		if (last && now - last > busy - last_busy)
			quiet += now - last - (busy - last_busy);
		last = now;
		last_busy = busy;
	}
	sum = quiet;
	pthread_mutex_unlock(&lock);
	return sum;
}
