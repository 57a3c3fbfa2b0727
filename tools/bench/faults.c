// SPDX-License-Identifier: Apache-2.0
/*
 * faults: what a guest's first touch of a page costs on this host, without a VMM in the way.
 *
 *	faults [-n PAGES] [-r ROUNDS] [-m 4k|2m] [-a read|write] [-o seq|random] [-d]
 *
 * A VM of its own, made of raw KVM calls: memory of a memfd, page tables written by the host, one
 * vCPU that begins at CPL 3 in long mode (where a KVM without hardware virtualization runs at full
 * speed, and where it does not matter on others), and a dozen instructions that touch each page
 * once, by reading or writing one word, and end with a port write. Per kind and order of faults one
 * line, the median over the rounds:
 *
 *	kvm	nobody in between: the kernel finds an empty page
 *	uffd	userfaultfd reports the page missing; one thread, blocked in read(), answers with
 *		UFFDIO_COPY of one page that is not zeros: the least that any user-space pager must
 *		do
 *
 * "first" is a new VM; "again" the same pages in the same VM, dropped from the file (a hole) after
 * the first touch, so that KVM's own tables exist, as they do when a pager brings back what it
 * took. With -d there are writes without a pager alone, and "again" is the first write to pages
 * that are all there, after KVM's dirty log has begun to watch them.
 *
 * Random order is a full-period congruential sequence, computed by the guest: it needs no table
 * that would have to be touched as well.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE	   4096ul
#define HUGE	   (2ul << 20)
#define TABLES	   0x1000	/* guest-physical: the four levels, one after the other */
#define CODE	   0x800000	/* behind any number of tables */
#define DATA	   (16ul << 20) /* what is touched */
#define MAX_PAGES  (1ul << 19)
#define NR_CPUID   128
#define MAX_ROUNDS 99

#define PTE_USER 7 /* present, writable, for CPL 3 */
#define PTE_HUGE 0x80

/*
 * rax page, rbx where the pages begin, rcx how many, rdx mask, rsi factor, rdi step:
 *
 *	1: mov %rax, %r8; shl $12, %r8
 *	   mov (%rbx,%r8), %r9             or  mov %rcx, (%rbx,%r8)
 *	   imul %rsi, %rax; add %rdi, %rax; and %rdx, %rax
 *	   dec %rcx; jnz 1b
 *	   out %al, $0xf4
 */
static const uint8_t code[] = {
	0x49, 0x89, 0xc0, 0x49, 0xc1, 0xe0, 0x0c, /* mov, shl */
	0x4e, 0x8b, 0x0c, 0x03,			  /* mov (%rbx,%r8), %r9 */
	0x48, 0x0f, 0xaf, 0xc6, 0x48, 0x01, 0xf8, /* imul, add */
	0x48, 0x21, 0xd0,			  /* and */
	0x48, 0xff, 0xc9, 0x75, 0xe6,		  /* dec, jnz */
	0xe6, 0xf4,				  /* out */
};
#define TOUCH_AT 7
static const uint8_t touch_write[] = {0x4a, 0x89, 0x0c, 0x03}; /* mov %rcx, (%rbx,%r8) */

enum pager { PAGER_KVM, PAGER_UFFD };
enum order { ORDER_SEQUENTIAL, ORDER_RANDOM };
enum access { ACCESS_READ, ACCESS_WRITE };

static const char *const pagers[2] = {"kvm", "uffd"}, *const orders[2] = {"seq", "random"};
static const char *const accesses[2] = {"read", "write"}, *const maps[2] = {"4k", "2m"};

struct plan {
	uint64_t pages;
	bool huge; /* guest mappings of 2 MiB */
	bool log;  /* -d */
	enum pager pager;
	enum order order;
	enum access access;
};

struct vm {
	int kvm, fd, vcpu, memfd, uffd;
	uint64_t size;
	uint8_t *guest, *alias; /* two mappings of the memfd: KVM's, and ours */
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
};

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "faults: %s: ", what);
	perror(NULL);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- The pager ---- */

static void *answer(void *arg)
{
	struct vm *vm = arg;
	uint64_t end = (uintptr_t)vm->guest + vm->size - PAGE;
	struct uffdio_copy copy = {.len = PAGE};
	struct uffd_msg msg;

	copy.src = (uintptr_t)aligned_alloc(PAGE, PAGE);
	check(copy.src, "memory");
	memset((void *)(uintptr_t)copy.src, 0x5a, PAGE);
	/* a read that blocks is ended by the host's own touch of the last page, see pager_stop() */
	do {
		check(read(vm->uffd, &msg, sizeof(msg)) == sizeof(msg), "reading userfaultfd");
		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		check(!ioctl(vm->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	} while (copy.dst != end);
	free((void *)(uintptr_t)copy.src);
	return NULL;
}

static void pager_start(struct vm *vm)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};

	vm->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	check(vm->uffd >= 0 && !ioctl(vm->uffd, UFFDIO_API, &api), "userfaultfd");
	reg.range.start = (uintptr_t)vm->guest + DATA;
	reg.range.len = vm->size - DATA;
	check(!ioctl(vm->uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
	check(!pthread_create(&vm->thread, NULL, answer, vm), "a thread");
}

static void pager_stop(struct vm *vm)
{
	*(volatile uint8_t *)(vm->guest + vm->size - PAGE) = 1;
	pthread_join(vm->thread, NULL);
	close(vm->uffd);
}

/* ---- The machine ---- */

static void memory_create(struct vm *vm, const struct plan *plan)
{
	/* one page more than is touched, to end the pager with; all of it in whole huge pages */
	vm->size = (DATA + plan->pages * PAGE + HUGE) & ~(HUGE - 1);
	vm->memfd = memfd_create("faults", MFD_CLOEXEC);
	check(vm->memfd >= 0 && !ftruncate(vm->memfd, (off_t)vm->size), "memfd");
	vm->guest = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 vm->memfd, 0);
	vm->alias = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 vm->memfd, 0);
	check(vm->guest != MAP_FAILED && vm->alias != MAP_FAILED, "mapping guest memory");
	/* what is measured is the single page, whatever the host would give */
	madvise(vm->guest, vm->size, MADV_NOHUGEPAGE);
}

/* Identity mapping of all memory, which is less than 4 GiB: one table of each upper level, or 4. */
static void tables_create(struct vm *vm, const struct plan *plan)
{
	uint64_t *root = (uint64_t *)(vm->alias + TABLES), *pdpt = root + 512, *pd = pdpt + 512;
	uint64_t *pt = pd + 4 * 512, base = TABLES + (uint64_t)(pt - root) * 8;

	root[0] = (TABLES + PAGE) | PTE_USER;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (TABLES + (2 + i) * PAGE) | PTE_USER;
	for (uint64_t i = 0; i < vm->size / HUGE; i++) {
		if (plan->huge) {
			pd[i] = i * HUGE | PTE_USER | PTE_HUGE;
			continue;
		}
		pd[i] = (base + i * PAGE) | PTE_USER;
		for (uint64_t k = 0; k < 512; k++)
			pt[i * 512 + k] = (i * HUGE + k * PAGE) | PTE_USER;
	}
}

static void code_create(struct vm *vm, const struct plan *plan)
{
	memcpy(vm->alias + CODE, code, sizeof(code));
	if (plan->access == ACCESS_WRITE)
		memcpy(vm->alias + CODE + TOUCH_AT, touch_write, sizeof(touch_write));
}

/* CPL 3 in long mode, flat segments. There is no IDT: nothing goes wrong in this guest. */
static void sregs_create(struct vm *vm)
{
	struct kvm_segment data = {.limit = ~0u,
				   .selector = 0x23,
				   .type = 3,
				   .present = 1,
				   .dpl = 3,
				   .db = 1,
				   .s = 1,
				   .g = 1};
	struct kvm_segment text = {.limit = ~0u,
				   .selector = 0x33,
				   .type = 11,
				   .present = 1,
				   .dpl = 3,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_sregs s;

	check(!ioctl(vm->vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.cr0 = 0x80010033; /* PG WP NE ET MP PE */
	s.cr3 = TABLES;
	s.cr4 = 0x620;	/* PAE, SSE */
	s.efer = 0x500; /* LME LMA */
	s.cs = text;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	check(!ioctl(vm->vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

static void vcpu_create(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + NR_CPUID * sizeof(struct kvm_cpuid_entry2));

	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	check(cpuid && vm->vcpu >= 0, "KVM_CREATE_VCPU");
	cpuid->nent = NR_CPUID;
	check(!ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(!ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
	vm->run_size = (size_t)ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	check(vm->run != MAP_FAILED, "mapping struct kvm_run");
	sregs_create(vm);
}

static void vm_create(struct vm *vm, const struct plan *plan)
{
	struct kvm_userspace_memory_region region = {0};

	memory_create(vm, plan);
	tables_create(vm, plan);
	code_create(vm, plan);
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	check(vm->kvm >= 0, "/dev/kvm");
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	check(vm->fd >= 0, "KVM_CREATE_VM");
	region.memory_size = vm->size;
	region.userspace_addr = (uintptr_t)vm->guest;
	check(!ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul), "KVM_SET_TSS_ADDR");
	check(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	vcpu_create(vm);
}

static void vm_destroy(struct vm *vm)
{
	munmap(vm->run, vm->run_size);
	close(vm->vcpu);
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->guest, vm->size);
	munmap(vm->alias, vm->size);
	close(vm->memfd);
}

/* ---- Measuring ---- */

/* As many touches as pages, and no page left out: each was touched once. */
static bool all_present(const struct vm *vm, const struct plan *plan)
{
	return lseek(vm->memfd, DATA, SEEK_HOLE) >= (off_t)(DATA + plan->pages * PAGE);
}

static bool none_present(const struct vm *vm, const struct plan *plan)
{
	off_t first = lseek(vm->memfd, DATA, SEEK_DATA);

	return first < 0 || first >= (off_t)(DATA + plan->pages * PAGE);
}

/* Touch each page once, whether it is there or not. Returns microseconds a page. */
static double touch_all(struct vm *vm, const struct plan *plan)
{
	bool random = plan->order == ORDER_RANDOM;
	struct kvm_regs regs = {
		.rip = CODE,
		.rflags = 0x3002, /* IOPL 3: it may end with a port write */
		.rbx = DATA,
		.rcx = plan->pages,
		.rdx = plan->pages - 1,
		.rsi = random ? 0x5851f42d4c957f2d : 1, /* Knuth's MMIX: full period for any 2^n */
		.rdi = random ? 0x14057b7ef767814f : 1,
	};
	uint64_t start;

	check(!ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	start = now_ns();
	check(!ioctl(vm->vcpu, KVM_RUN, 0), "KVM_RUN");
	start = now_ns() - start;
	if (vm->run->exit_reason != KVM_EXIT_IO || vm->run->io.port != 0xf4) {
		fprintf(stderr, "faults: the guest left with reason %u\n", vm->run->exit_reason);
		exit(1);
	}
	if (!all_present(vm, plan)) {
		fprintf(stderr, "faults: the guest did not touch every page\n");
		exit(1);
	}
	return (double)start / 1e3 / (double)plan->pages;
}

static void drop_all(struct vm *vm, const struct plan *plan)
{
	check(!fallocate(vm->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, DATA,
			 (off_t)(plan->pages * PAGE)),
	      "punching a hole");
	check(none_present(vm, plan), "pages are there after they were dropped");
}

/* From now on the next write to each page is noted. */
static void log_all(struct vm *vm)
{
	struct kvm_userspace_memory_region region = {
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.memory_size = vm->size,
		.userspace_addr = (uintptr_t)vm->guest,
	};

	check(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_MEM_LOG_DIRTY_PAGES");
}

/* One VM: the first touch of all pages, and another one after they were dropped, or watched. */
static void measure(const struct plan *plan, double us[2])
{
	struct vm vm = {0};

	vm_create(&vm, plan);
	if (plan->pager == PAGER_UFFD)
		pager_start(&vm);
	check(none_present(&vm, plan), "pages are there before they are touched");
	us[0] = touch_all(&vm, plan);
	if (plan->log)
		log_all(&vm);
	else
		drop_all(&vm, plan);
	us[1] = touch_all(&vm, plan);
	if (plan->pager == PAGER_UFFD)
		pager_stop(&vm);
	vm_destroy(&vm);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *us, int n)
{
	qsort(us, (size_t)n, sizeof(*us), by_size);
	return us[n / 2];
}

static void row(const struct plan *plan, int rounds)
{
	double first[MAX_ROUNDS], again[MAX_ROUNDS], us[2];

	for (int i = 0; i < rounds; i++) {
		measure(plan, us);
		first[i] = us[0];
		again[i] = us[1];
	}
	printf("%s\t%s\t%s\t%s\t%.2f\t%.2f\n", maps[plan->huge], pagers[plan->pager],
	       orders[plan->order], accesses[plan->access], median(first, rounds),
	       median(again, rounds));
	fflush(stdout);
}

/* What was asked for; all where nothing was. */
struct wanted {
	const char *map, *access, *order;
};

/* Whether @wanted, if it is anything, is @name. */
static bool is_wanted(const char *wanted, const char *name)
{
	return !wanted || !strcmp(wanted, name);
}

static void rows(struct plan *plan, const struct wanted *w, int rounds)
{
	for (int i = 0; i < 16; i++) {
		plan->huge = i >> 3;
		plan->access = (enum access)(i >> 2 & 1);
		plan->order = (enum order)(i >> 1 & 1);
		plan->pager = (enum pager)(i & 1);
		if (plan->log && (plan->access != ACCESS_WRITE || plan->pager != PAGER_KVM))
			continue;
		if (is_wanted(w->map, maps[plan->huge]) &&
		    is_wanted(w->access, accesses[plan->access]) &&
		    is_wanted(w->order, orders[plan->order]))
			row(plan, rounds);
	}
}

static bool one_of(const char *name, const char *const names[2])
{
	return !name || !strcmp(name, names[0]) || !strcmp(name, names[1]);
}

static bool parse(int argc, char **argv, struct plan *plan, struct wanted *w, int *rounds)
{
	int opt;

	while ((opt = getopt(argc, argv, "n:r:m:a:o:d")) != -1) {
		if (opt == 'n')
			plan->pages = strtoull(optarg, NULL, 10);
		else if (opt == 'r')
			*rounds = atoi(optarg);
		else if (opt == 'm')
			w->map = optarg;
		else if (opt == 'a')
			w->access = optarg;
		else if (opt == 'o')
			w->order = optarg;
		else if (opt == 'd')
			plan->log = true;
		else
			return false;
	}
	return plan->pages && plan->pages <= MAX_PAGES && !(plan->pages & (plan->pages - 1)) &&
	       *rounds >= 1 && *rounds <= MAX_ROUNDS && one_of(w->map, maps) &&
	       one_of(w->access, accesses) && one_of(w->order, orders);
}

int main(int argc, char **argv)
{
	struct plan plan = {.pages = 8192};
	struct wanted wanted = {0};
	int rounds = 3;

	if (!parse(argc, argv, &plan, &wanted, &rounds)) {
		fprintf(stderr, "usage: faults [-n PAGES, a power of two] [-r ROUNDS] [-m 4k|2m] "
				"[-a read|write] [-o seq|random] [-d]\n");
		return 2;
	}
	printf("map\tpager\torder\taccess\tfirst us\tagain us\n");
	rows(&plan, &wanted, rounds);
	return 0;
}
