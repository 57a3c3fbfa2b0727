// SPDX-License-Identifier: Apache-2.0
/* What every cmocka program of ours includes, in the order in which cmocka wants it. */
#ifndef QUIRE_TESTS_LIB_TEST_H
#define QUIRE_TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
