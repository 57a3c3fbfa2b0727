// SPDX-License-Identifier: Apache-2.0
/*
 * Measures what no capability tells: how fast this KVM runs a kernel's code. A VM of one page and
 * one vCPU counts down in 32-bit protected mode at CPL 0 and halts.
 */
#ifndef QUIRE_VMM_CLI_PROBE_H
#define QUIRE_VMM_CLI_PROBE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct probe_result {
	double instructions_per_second; /* at CPL 0 */
	bool emulated;			/* slow enough to be an interpreter */
	double create_ms;		/* VM and vCPU, to the first exit */
};

/* Takes a few milliseconds. @kvm_fd is from kvm_open(). */
int probe_cpl0(int kvm_fd, struct probe_result *result, struct err *err);

#endif
