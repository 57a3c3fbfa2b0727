// SPDX-License-Identifier: Apache-2.0
/*
 * The recipe of a VM: build() is the list of its steps in order, vm_destroy() the list backwards.
 * Here alone it is decided what a guest is made from: a kernel, an image, a base that clones share,
 * or what another host sends.
 *
 * Threads. All of it runs on the owner's thread. Up to vm_start() no other knows the VM, but the
 * engine's, which a restored guest has from set_state() on; the callbacks at the top are called
 * from vCPU threads and the engine's.
 *
 * Locks: none is held across a step.
 *
 * What always holds: each step leaves the VM such that vm_destroy() can take it apart; nothing that
 * can fail follows the start of the first vCPU thread but the start of the next; memory slots come
 * before the interrupt controllers (create_irqchip() says why).
 */
#include "vmm/run/vm_create.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image/image.h"
#include "vmm/boot/acpi.h"
#include "vmm/checkpoint/origin.h"
#include "vmm/devices/memmap.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/host.h"
#include "vmm/migrate/incoming.h"
#include "vmm/pv/pv.h"
#include "vmm/run/vcpu_loop.h"
#include "vmm/vm/dirty.h"
#include "vmm/vm/vcpu.h"

/* What the devices ask of the machine: struct device_host on top of KVM and struct vm_host. */

static void set_irq(void *opaque, u32 gsi, bool level)
{
	struct vm *vm = opaque;
	struct kvm_irq_level irq = {.irq = gsi, .level = level};
	int ret;

	if (vm->pv) /* its kernel knows event channels alone, and polls what else there is */
		return;
	ret = kvm_ioctl(vm->fd, KVM_IRQ_LINE, &irq);
	if (ret < 0)
		vm_fail(vm, SHUTDOWN_BY_ERROR, "interrupt %u: %s", gsi, strerror(-ret));
}

static void device_end(void *opaque, enum shutdown_cause cause, int status)
{
	vm_end(opaque, cause, status);
}

static void serial_out(void *opaque, u8 byte)
{
	const struct vm *vm = opaque;

	vm->host->serial_out(vm->host->opaque, byte);
}

static void serial_ready(void *opaque)
{
	const struct vm *vm = opaque;

	vm->host->serial_ready(vm->host->opaque);
}

/* What the memory engine asks of the machine. */

static void memory_failed(void *opaque, const struct err *why)
{
	vm_fail(opaque, SHUTDOWN_BY_ERROR, "%s", why->text);
}

static void memory_event(void *opaque, const struct mem_event *event)
{
	const struct vm *vm = opaque;

	vm->host->memory_event(vm->host->opaque, event);
}

/* Advice for the next guest from the same image: if it cannot be kept, nothing is lost. */
static void memory_recorded(void *opaque, const page_no *nos, u32 n)
{
	const struct vm *vm = opaque;

	image_record(vm->cfg.origin->dir, nos, n, NULL);
}

/* The steps of the recipe. */

static int kvm_fail(int ret, const char *what, struct err *err)
{
	return err_set(err, ret, "KVM: cannot %s: %s", what, strerror(-ret));
}

static int create_space(struct vm *vm, struct err *err)
{
	const struct vm_config *cfg = &vm->cfg;
	int ret;

	if (vm_is_clone(vm))
		ret = space_create_clone(&vm->space, cfg->origin->base_fd);
	else if (cfg->incoming && cfg->incoming->memory_fd >= 0)
		ret = space_adopt(&vm->space, cfg->incoming->memory_fd);
	else
		ret = space_create(&vm->space, cfg->memory, cfg->backing);
	if (!ret && space_size(vm->space) != cfg->memory)
		return err_set(err, -EINVAL, "guest memory is not of the size that was announced");
	if (ret == -EINVAL)
		return err_set(
			err, ret,
			"--memory: %llu KiB is not a size a guest can have (give a multiple of "
			"2M from %llu M to %llu G)",
			(unsigned long long)(cfg->memory / KiB),
			(unsigned long long)(SPACE_MIN_SIZE / MiB),
			(unsigned long long)(SPACE_MAX_SIZE / GiB));
	if (ret && cfg->backing == SPACE_HUGETLB)
		return err_set(
			err, ret,
			"--backing hugetlb: %s (reserve %llu pages in /proc/sys/vm/nr_hugepages)",
			strerror(-ret), (unsigned long long)(cfg->memory / (2 * MiB)));
	if (ret)
		return err_set(err, ret, "guest memory: %s (give a smaller --memory)",
			       strerror(-ret));
	return 0;
}

static int check_cpus(const struct vm *vm, struct err *err)
{
	int most = kvm_cap(vm->kvm_fd, KVM_CAP_MAX_VCPUS);

	most = MIN(most > 0 ? most : 1, VM_MAX_CPUS);
	if (vm->cfg.nr_cpus < 1 || vm->cfg.nr_cpus > (unsigned int)most)
		return err_set(err, -EINVAL, "--cpus %u: not possible here (give 1 to %d)",
			       vm->cfg.nr_cpus, most);
	return 0;
}

static int create_kvm_vm(struct vm *vm, struct err *err)
{
	u64 idmap = MEMMAP_KVM_IDMAP;
	int ret;

	do {
		ret = kvm_ioctl_value(vm->kvm_fd, KVM_CREATE_VM, 0);
	} while (ret == -EINTR);
	if (ret < 0)
		return kvm_fail(ret, "create a VM", err);
	vm->fd = ret;
	ret = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &idmap);
	if (!ret)
		ret = kvm_ioctl_value(vm->fd, KVM_SET_TSS_ADDR, MEMMAP_KVM_TSS);
	if (ret < 0)
		return kvm_fail(ret, "place its TSS", err);
	return 0;
}

static int map_slots(struct vm *vm, struct err *err)
{
	for (unsigned int i = 0; i < space_nr_slots(vm->space); i++) {
		const struct space_slot *slot = space_slot(vm->space, i);
		struct kvm_userspace_memory_region region = {
			.slot = i,
			.flags = vm->logs_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
			.guest_phys_addr = slot->start.v,
			.memory_size = slot->size,
			.userspace_addr = (uintptr_t)slot->guest,
		};
		int ret = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);

		if (ret < 0)
			return kvm_fail(ret, "map guest memory", err);
	}
	return 0;
}

/*
 * The in-kernel interrupt controllers and timer. They come after the memory slots: KVM waits for an
 * SRCU grace period when a slot is added, which takes microseconds before there is an interrupt
 * controller and was measured at 6.5 ms afterwards.
 */
static int create_irqchip(struct vm *vm, struct err *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int ret = kvm_ioctl_value(vm->fd, KVM_CREATE_IRQCHIP, 0);

	if (ret < 0)
		return kvm_fail(ret, "create interrupt controllers", err);
	ret = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	return ret < 0 ? kvm_fail(ret, "create a timer", err) : 0;
}

static int create_vcpu(struct vm *vm, unsigned int i, struct err *err)
{
	int ret = vcpu_create(&vm->vcpus[i], vm, i, err);

	vm->nr_vcpus += !ret;
	return ret;
}

/* Those of a guest that was elsewhere get everything else from its state. */
static int create_bare_vcpus(struct vm *vm, struct err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->cfg.nr_cpus && !ret; i++)
		ret = create_vcpu(vm, i, err);
	return ret;
}

static int create_new_vcpus(struct vm *vm, struct err *err)
{
	/* what KVM cannot emulate at CPL 0 does not matter to a kernel at CPL 3 */
	struct cpuid_machine m = {.nr_cpus = vm->cfg.nr_cpus,
				  .kind = vm->pv ? KVM_UNKNOWN : vm->kind};
	struct kvm_cpuid2 *cpuid;
	u32 room;
	int ret = 0;

	cpuid = cpuid_template(vm->kvm_fd, &room);
	if (!cpuid)
		return kvm_fail(-errno, "read its CPUID", err);
	for (unsigned int i = 0; i < vm->cfg.nr_cpus && !ret; i++) {
		ret = create_vcpu(vm, i, err);
		if (ret)
			break;
		m.tsc_khz = vcpu_tsc_khz(vm->vcpus[i]);
		cpuid_adjust(cpuid, room, &m, i);
		if (vm->pv)
			pv_cpuid_adjust(cpuid, room, vm->kind);
		ret = vcpu_setup(vm->vcpus[i], cpuid, err);
	}
	free(cpuid);
	return ret;
}

static int create_vcpus(struct vm *vm, struct err *err)
{
	if (vm->cfg.origin || vm->cfg.incoming)
		return create_bare_vcpus(vm, err);
	return create_new_vcpus(vm, err);
}

static enum boot_paging choose_paging(const struct vm *vm)
{
	switch (vm->cfg.mmu) {
	case VM_MMU_EPT:
		return BOOT_PAGING_EPT;
	case VM_MMU_SHADOW:
		return BOOT_PAGING_SHADOW;
	default:
		return host_prefers_shadow(vm->kind) ? BOOT_PAGING_AUTO_SHADOW : BOOT_PAGING_EPT;
	}
}

static int load_guest(struct vm *vm, struct err *err)
{
	struct boot_source src = {
		.kernel = vm->cfg.kernel,
		.initrd = vm->cfg.initrd,
		.append = vm->cfg.append,
		.nr_cpus = vm->cfg.nr_cpus,
	};
	int ret = 0;

	src.paging = choose_paging(vm);
	if (src.paging != BOOT_PAGING_SHADOW) {
		ret = acpi_build(vm->space, vm->cfg.nr_cpus, &src.rsdp, err);
		if (!ret)
			ret = vm_new_generation(vm, err);
	}
	if (!ret)
		ret = boot_load(vm->space, &src, &vm->entry, err);
	return ret;
}

/* Once the guest is loaded: what loading wrote is found in memory, and taken from there. */
static int create_mem(struct vm *vm, struct err *err)
{
	const struct mem_host host = {
		.opaque = vm,
		.failed = memory_failed,
		.event = memory_event,
		.recorded = memory_recorded,
	};
	struct mem_config cfg = vm->cfg.mem;

	if (vm->cfg.backing != SPACE_MEMFD)
		return 0;
	cfg.nr_cpus = vm->cfg.nr_cpus;
	if (vm->cfg.origin && !vm->cfg.origin->eager) {
		image_pager_init(&vm->lazy, vm->cfg.origin->image);
		cfg.origin = &vm->lazy.pager;
		cfg.warm = vm->cfg.origin->warm;
		cfg.nr_warm = vm->cfg.origin->nr_warm;
	}
	if (vm->cfg.incoming)
		cfg.origin = vm->cfg.incoming->pager;
	return mem_create(&vm->mem, vm->space, &cfg, &host, err);
}

static int create_devices(struct vm *vm, struct err *err)
{
	vm->device_host = (struct device_host){
		.opaque = vm,
		.irq = set_irq,
		.end = device_end,
		.serial_out = serial_out,
		.serial_ready = serial_ready,
	};
	vm->devices = devices_create(&vm->device_host);
	return vm->devices ? 0 : err_set(err, -ENOMEM, "devices: out of memory");
}

/* Whether a guest that was elsewhere is on shadow tables: it stays so. */
static bool was_on_shadow(const struct vm_config *cfg)
{
	const struct incoming_guest *in = cfg->incoming;

	return in ? state_is_pv(in->state, in->state_size)
		  : cfg->origin && state_is_pv(cfg->origin->state, cfg->origin->state_size);
}

/* The guest's memory, as a kernel's first instruction finds it or as the image has it. */
static int fill_memory(struct vm *vm, struct err *err)
{
	if (was_on_shadow(&vm->cfg))
		vm->entry.mode = BOOT_XEN_PV;
	if (vm->cfg.incoming)
		return 0;
	if (!vm->cfg.origin)
		return load_guest(vm, err);
	if (vm_is_clone(vm) || !vm->cfg.origin->eager)
		return 0;
	return origin_load_memory(vm->cfg.origin, vm, err);
}

/*
 * Memory that was handed over is another's until he lets go: vmm/migrate/incoming.c starts it then.
 */
static int start_mem(struct vm *vm, struct err *err)
{
	const struct incoming_guest *in = vm->cfg.incoming;

	return vm->mem && !(in && in->memory_fd >= 0) ? mem_start(vm->mem, err) : 0;
}

/* The rest of its state: likewise. */
static int set_state(struct vm *vm, struct err *err)
{
	const struct incoming_guest *in = vm->cfg.incoming;
	const struct origin *o = vm->cfg.origin;
	int ret;

	if (!o && !in)
		return vm->pv ? pv_set_boot_state(vm, err) : vcpu_set_boot_state(vm->vcpus[0], err);
	/* KVM may touch guest memory while its state is set: it must be the guest's own by then */
	ret = start_mem(vm, err);
	if (!ret && in)
		ret = state_load(vm, in->state, in->state_size, in->clock, err);
	else if (!ret)
		ret = state_load(vm, o->state, o->state_size, o->clock, err);
	return ret;
}

static int build(struct vm *vm, struct err *err)
{
	int ret;

	ret = create_space(vm, err);
	if (!ret)
		ret = vm->kvm_fd = kvm_open(err);
	if (ret >= 0)
		ret = check_cpus(vm, err);
	if (!ret)
		ret = fill_memory(vm, err);
	if (!ret)
		ret = create_mem(vm, err);
	if (!ret)
		ret = create_kvm_vm(vm, err);
	/* a restored guest's changes are known from its first instruction on */
	if (!ret && vm->cfg.origin && !vm_is_clone(vm))
		ret = dirty_start_early(vm, err);
	if (!ret)
		ret = map_slots(vm, err);
	if (!ret)
		ret = vm->entry.mode == BOOT_XEN_PV ? pv_create(vm, err) : create_irqchip(vm, err);
	if (!ret)
		ret = create_vcpus(vm, err);
	if (!ret)
		ret = create_devices(vm, err);
	if (!ret)
		ret = set_state(vm, err);
	return ret;
}

int vm_create(struct vm **out, const struct vm_config *cfg, const struct vm_host *host,
	      struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return err_set(err, -ENOMEM, "out of memory");
	vm->cfg = *cfg;
	vm->host = host;
	vm->fd = vm->kvm_fd = -1;
	vm->kind = kvm_kind();
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	atomic_init(&vm->want, VM_PAUSE);
	atomic_init(&vm->holds, 0);
	ret = build(vm, err);
	if (ret < 0) {
		vm_destroy(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

int vm_start(struct vm *vm, enum vm_want want, struct err *err)
{
	int ret = start_mem(vm, err);

	/* the first that can be written through the engine is after its start */
	if (!ret && vm->cfg.origin)
		ret = vm_new_generation(vm, err);
	atomic_store(&vm->want, want);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_start(vm->vcpus[i], err);
	return ret;
}

/* The recipe backwards. Works on a VM at any stage of it. */
void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	pthread_mutex_lock(&vm->lock);
	atomic_store(&vm->want, VM_QUIT);
	pthread_cond_broadcast(&vm->changed);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(vm->vcpus[i]);
	pthread_mutex_unlock(&vm->lock);
	if (vm->mem)
		mem_cut(vm->mem);
	for (unsigned int i = vm->nr_vcpus; i-- > 0;)
		vcpu_destroy(vm->vcpus[i]);
	devices_destroy(vm->devices);
	pv_destroy(vm->pv);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	mem_destroy(vm->mem);
	free(vm->msrs);
	free(vm->dirty_bits);
	space_destroy(vm->space);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}
