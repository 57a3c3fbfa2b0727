// SPDX-License-Identifier: Apache-2.0
/*
 * Time in a test, on a host that may be busy with something else.
 *
 * Who waits for something that must happen gives up after HUNG_MS, and not before. Where a test is
 * to show that something does not wait (for a peer that is silent, for a limit), it asks how much
 * quiet time it took: time in which no program on the host waited for a processor and no hypervisor
 * had taken one away. On an idle host that is all of the time; on a busy one it is nearly none, and
 * nothing is held to a limit there.
 *
 *	u64 since = quiet_ns();
 *	...
 *	assert_true(quiet_ns() - since < LIMIT);
 */
#ifndef QUIRE_TESTS_LIB_QUIET_H
#define QUIRE_TESTS_LIB_QUIET_H

#include "mm/base/base.h"

#define HUNG_MS 300000
#define HUNG_NS ((u64)HUNG_MS * 1000000)

/* Never goes back. Stands still where the host does not say how busy it is. Any thread. */
u64 quiet_ns(void);

#endif
