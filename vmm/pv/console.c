// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's console (hvc0): a ring of bytes each way in a page of the guest's, whose indices
 * count up for ever. The guest may write anything there: indices are read once, and only as many
 * bytes are taken as the ring can hold.
 */
#include "vmm/pv/console.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "vmm/boot/pv_build.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/port.h"

#define RING(field) (offsetof(struct xencons_interface, field))
#define IN_SIZE	    sizeof(((struct xencons_interface *)0)->in)
#define OUT_SIZE    sizeof(((struct xencons_interface *)0)->out)
#define WRITE_MAX   1024 /* bytes of one console_io that are looked at */

static u32 get(struct pv *pv, u64 field)
{
	u32 value = 0;

	pv_read_phys(pv, pv->console + field, &value, sizeof(value));
	return value;
}

static void set(struct pv *pv, u64 field, u32 value)
{
	pv_write_phys(pv, pv->console + field, &value, sizeof(value));
}

void pv_console_notified(struct pv *pv)
{
	u32 cons = get(pv, RING(out_cons)), prod = get(pv, RING(out_prod)), n = prod - cons;
	u8 byte;

	pv->console_used = true;
	if (!n || n > OUT_SIZE)
		return;
	for (; cons != prod; cons++) {
		pv_read_phys(pv, pv->console + RING(out) + cons % OUT_SIZE, &byte, 1);
		pv->vm->host->serial_out(pv->vm->host->opaque, byte);
	}
	set(pv, RING(out_cons), cons);
	/* there is room again; and input may wait for a guest that listens */
	pv_send_event(pv, PV_CONSOLE_PORT);
	pv->vm->host->serial_ready(pv->vm->host->opaque);
}

bool pv_console_in_use(const struct pv *pv)
{
	return pv->console_used;
}

/*
 * Input waits here until a vCPU comes by: who brings it must not wait for a page of the guest's,
 * and must not write one while vCPUs stand still to be saved.
 */
size_t pv_console_input(struct pv *pv, const u8 *data, size_t len)
{
	size_t n;
	u32 at;

	pthread_mutex_lock(&pv->input_lock);
	at = atomic_load(&pv->nr_input);
	n = MIN(len, (size_t)(PV_INPUT_SIZE - at));
	memcpy(pv->input + at, data, n);
	atomic_store(&pv->nr_input, at + (u32)n);
	pthread_mutex_unlock(&pv->input_lock);
	if (n)
		vcpu_kick(pv->vm->vcpus[0]);
	return n;
}

/* As many as there is room for. */
static u32 fill_ring(struct pv *pv)
{
	u32 cons = get(pv, RING(in_cons)), prod = get(pv, RING(in_prod)), n = 0;

	for (; n < atomic_load(&pv->nr_input) && prod - cons < IN_SIZE; n++, prod++)
		pv_write_phys(pv, pv->console + RING(in) + prod % IN_SIZE, &pv->input[n], 1);
	if (n)
		set(pv, RING(in_prod), prod);
	return n;
}

void pv_console_take_input(struct pv *pv)
{
	u32 n, all;

	if (!atomic_load(&pv->nr_input))
		return;
	n = fill_ring(pv);
	if (!n)
		return;
	pthread_mutex_lock(&pv->input_lock);
	all = atomic_load(&pv->nr_input);
	memmove(pv->input, pv->input + n, all - n);
	atomic_store(&pv->nr_input, all - n);
	pthread_mutex_unlock(&pv->input_lock);
	pv_send_event(pv, PV_CONSOLE_PORT);
	pv->vm->host->serial_ready(pv->vm->host->opaque);
}

/* What a kernel prints before it has a console. */
long pv_console_io(struct pv_cpu *cpu, const u64 args[5])
{
	struct vm *vm = cpu->vcpu->vm;
	u8 byte;

	if (args[0] != CONSOLEIO_write)
		return args[0] == CONSOLEIO_read ? 0 : -ENOSYS;
	for (u64 i = 0; i < MIN(args[1], (u64)WRITE_MAX); i++) {
		if (pv_read(cpu, args[2] + i, &byte, 1))
			return -EFAULT;
		vm->host->serial_out(vm->host->opaque, byte);
	}
	return 0;
}
