// SPDX-License-Identifier: Apache-2.0
/* The version of quire, as --version and QMP give it. */
#ifndef QUIRE_VMM_VERSION_H
#define QUIRE_VMM_VERSION_H

#define QUIRE_VERSION "0.1"

#endif
