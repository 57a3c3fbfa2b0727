// SPDX-License-Identifier: Apache-2.0
/* The descriptors of the process; see descriptors.h. */
#include "tests/lib/descriptors.h"

#include <dirent.h>

u32 nr_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	u32 n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
