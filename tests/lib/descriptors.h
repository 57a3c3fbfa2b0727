// SPDX-License-Identifier: Apache-2.0
/* Whether a test, or what it tests, has left a file descriptor open. */
#ifndef QUIRE_TESTS_LIB_DESCRIPTORS_H
#define QUIRE_TESTS_LIB_DESCRIPTORS_H

#include "tests/lib/test.h"

#include "mm/base/base.h"

/*
 * How many the process has, and the same few more each time: to be compared with what it was
 * before. Fails the test when they cannot be counted.
 */
u32 nr_descriptors(void);

#endif
