// SPDX-License-Identifier: Apache-2.0
/* The beginning of a migration: until a VM stands by over there, and pages can go. */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_SETUP_H
#define QUIRE_VMM_MIGRATE_OUTGOING_SETUP_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct outgoing;

/*
 * Connect, announce the guest, and wait for a VM. Afterwards the progress says whether its memory
 * is handed over; o->sender has the streams.
 */
int outgoing_set_up(struct outgoing *o, struct err *err);

#endif
