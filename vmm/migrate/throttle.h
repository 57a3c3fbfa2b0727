// SPDX-License-Identifier: Apache-2.0
/*
 * Making vCPUs that write wait: while a guest moves, and dirties memory faster than it can be sent.
 * Who writes how much is known from KVM's count of the faults that each vCPU takes: with the dirty
 * log on, a first write to a page is one, and reading is none. The vCPU that faults most is kept
 * out of the guest for the given share of the time, the others for as much less as they fault less.
 * Where KVM does not count, all are treated alike.
 */
#ifndef QUIRE_VMM_MIGRATE_THROTTLE_H
#define QUIRE_VMM_MIGRATE_THROTTLE_H

struct vm;
struct throttle;

/* Begins without any; nothing runs yet. NULL: no memory. */
struct throttle *throttle_create(struct vm *vm);

/* For @percent of the time, 0 to 99. Any thread. 0, or -errno: it stays as it was. */
int throttle_set(struct throttle *t, unsigned int percent);

/* Everybody runs freely again. NULL is allowed. */
void throttle_destroy(struct throttle *t);

#endif
