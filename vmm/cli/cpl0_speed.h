// SPDX-License-Identifier: Apache-2.0
/*
 * Measures what no capability tells: how fast this KVM runs a kernel's code. A VM of one page and
 * one vCPU counts down in 32-bit protected mode at CPL 0 and halts.
 */
#ifndef QUIRE_VMM_CLI_CPL0_SPEED_H
#define QUIRE_VMM_CLI_CPL0_SPEED_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct cpl0_speed {
	double instructions_per_second; /* at CPL 0 */
	bool emulated;			/* slow enough to be an interpreter */
	double create_ms;		/* VM and vCPU, to the first exit */
};

/* Takes a few milliseconds. @kvm_fd is from kvm_open(). */
int cpl0_measure(int kvm_fd, struct cpl0_speed *result, struct err *err);

#endif
