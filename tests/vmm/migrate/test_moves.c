// SPDX-License-Identifier: Apache-2.0
/*
 * A real guest moves from one VM of this process to another while it counts in every page
 * (job=edge), so that a page which went back by one write is found. Whatever is done to the
 * migration meanwhile, the guest runs on in one of the two, with all of its pages. Needs /dev/kvm,
 * build/guest/micro.elf and, to cut connections, build/release/tests/proxy (or $PROXY).
 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/base/thread.h"
#include "tests/lib/quiet.h"
#include "tests/mm/image/image_fixture.h"
#include "tests/lib/vm_fixture.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/talk.h"
#include "vmm/migrate/outgoing.h"

#define MEMORY	   (64 * MiB)
#define NR_CPUS	   2
#define JOB	   "job=edge passes=0 time=0 cpus=2 size=16M"
#define ROUNDS	   (3 * 2048) /* of one of its processors, in pages */
#define BOUNDED_NS HUNG_NS

static char dir[] = "/tmp/test_moves.XXXXXX";
static char unix_address[64], proxy_address[64], key_path[64], spill_path[64];
static u32 random_state = 1;

static u32 any(u32 below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (u32)((u64)random_state * below >> 32);
}

static int write_key(void)
{
	int fd = open(key_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int n = fd < 0 ? 0 : dprintf(fd, "quire:%032x\n", (unsigned int)getpid());

	close(fd);
	return n > 0 ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(proxy_address, sizeof(proxy_address), "unix:%s/p", dir);
	snprintf(key_path, sizeof(key_path), "%s/key", dir);
	snprintf(spill_path, sizeof(spill_path), "%s/spill", dir);
	return write_key();
}

/* A new one each time: one that has come keeps its own. */
static const char *next_address(void)
{
	static unsigned int nr;

	snprintf(unix_address, sizeof(unix_address), "unix:%s/%u", dir, ++nr);
	return unix_address;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(proxy_address + 5);
	unlink(key_path);
	return rmdir(dir);
}

static void nothing(void *opaque)
{
	(void)opaque;
}

/* ---- The other side: a thread in its owner's place ---- */

struct other {
	struct incoming *in;
	struct runner runner; /* made when a guest has announced itself */
	pthread_t thread;
	sem_t changed;
	atomic_bool quit;
};

static void other_changed(void *opaque)
{
	sem_post(&((struct other *)opaque)->changed);
}

static void other_make(struct other *o, const struct incoming_guest *guest)
{
	struct err err = {.text = ""};
	int ret = incoming_check(guest, &err);

	if (!ret)
		ret = runner_receive(&o->runner, guest, &err);
	if (ret)
		incoming_refuse(o->in, &err);
	else
		incoming_give_vm(o->in, o->runner.vm);
}

static void *other_thread(void *arg)
{
	const struct incoming_guest *guest;
	struct other *o = arg;

	while (!atomic_load(&o->quit)) {
		sem_wait(&o->changed);
		if (incoming_wants_vm(o->in, &guest))
			other_make(o, guest);
	}
	return NULL;
}

static void other_open(struct other *o, const char *address, const char *psk_file)
{
	const struct incoming_config cfg = {
		.address = address,
		.psk_file = psk_file,
		.opaque = o,
		.changed = other_changed,
	};
	struct err err = {.text = ""};

	*o = (struct other){.in = NULL};
	sem_init(&o->changed, 0, 0);
	if (incoming_start(&o->in, &cfg, &err))
		fail_msg("%s", err.text);
	pthread_create(&o->thread, NULL, other_thread, o);
}

/* Nothing comes any more, which takes no longer than it may; what has come runs on. */
static void other_stop(struct other *o)
{
	u64 since = now_ns();

	atomic_store(&o->quit, true);
	incoming_stop(o->in);
	sem_post(&o->changed);
	pthread_join(o->thread, NULL);
	sem_destroy(&o->changed);
	assert_true(now_ns() - since < BOUNDED_NS);
}

/* A VM that was made goes too. */
static void other_close(struct other *o)
{
	other_stop(o);
	if (o->runner.vm)
		runner_destroy(&o->runner);
	incoming_destroy(o->in);
}

/* After other_stop() and its VM's end. */
static void other_free(struct other *o)
{
	if (!o)
		return;
	incoming_destroy(o->in);
	free(o);
}

/* ---- This side ---- */

static struct outgoing *leave_as(struct runner *r, const char *address,
				 const struct migrate_params *params, bool runs)
{
	const struct outgoing_config cfg = {
		.vm = r->vm,
		.name = "test",
		.address = address,
		.runs = runs,
		.params = *params,
		.changed = nothing,
	};
	struct outgoing *out;
	struct err err = {.text = ""};

	if (outgoing_start(&out, &cfg, &err))
		fail_msg("%s", err.text);
	return out;
}

static struct outgoing *leave(struct runner *r, const char *address,
			      const struct migrate_params *params)
{
	return leave_as(r, address, params, true);
}

/* How it ends, or what it waits for. */
static struct migrate_progress end_of(struct outgoing *out)
{
	u64 until = now_ns() + BOUNDED_NS;
	struct migrate_progress now;

	do {
		usleep(1000);
		outgoing_progress(out, &now);
		if (now_ns() > until)
			fail_msg("it stays %s", migrate_status_names[now.status]);
	} while (!migrate_is_over(now.status) && now.status != MIGRATE_POSTCOPY_PAUSED);
	return now;
}

static struct migrate_progress expect_move(struct outgoing *out)
{
	struct migrate_progress now = end_of(out);

	if (now.status != MIGRATE_COMPLETED)
		fail_msg("%s: %s", migrate_status_names[now.status], now.why.text);
	return now;
}

/* ---- Moves ---- */

/* What is told fits together, whichever way it went. */
static void expect_figures(const struct migrate_progress *now)
{
	const u64 *in = now->bytes_in;

	assert_int_equal(in[MIGRATE_PHASE_PRECOPY] + in[MIGRATE_PHASE_DOWNTIME] +
				 in[MIGRATE_PHASE_POSTCOPY],
			 now->bytes);
	assert_true(in[MIGRATE_PHASE_DOWNTIME] > 0); /* the state */
	assert_true(now->setup_ns > 0 && now->setup_ns + now->downtime_ns <= now->total_ns);
	assert_true(now->rate > 0);
	assert_int_equal(now->pages_rate > 0, now->batch.pages > 0);
	assert_int_equal(now->throttle, 0);
}

static struct migrate_progress move(const char *address, const struct migrate_params *params)
{
	struct migrate_progress progress;
	struct outgoing *out;
	struct runner r;
	struct other o;

	runner_need_kvm();
	runner_make(&r, MEMORY, NR_CPUS, JOB);
	other_open(&o, address, params->psk_file[0] ? params->psk_file : NULL);
	runner_run(&r);
	out = leave(&r, incoming_address(o.in), params);
	progress = expect_move(out);
	expect_figures(&progress);
	assert_int_equal(outgoing_cancel(out, NULL), 0); /* there is nothing left to cancel */
	assert_int_equal(end_of(out).status, MIGRATE_COMPLETED);
	assert_false(vm_ended(r.vm, NULL));
	runner_expect_counts(&o.runner, ROUNDS);
	assert_null(strstr(o.runner.out, "micro: fill")); /* that was here */
	outgoing_destroy(out);
	runner_destroy(&r);
	other_close(&o);
	return progress;
}

static void by_rounds(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;

	(void)state;
	params.copy = true;
	now = move(next_address(), &params);
	assert_true(!now.handover && now.round > 0);
	assert_true(now.batch.pages >= 16 * MiB / PAGE_SIZE);
	assert_true(now.bytes_in[MIGRATE_PHASE_PRECOPY] > now.bytes / 2);
	assert_int_equal(now.bytes_in[MIGRATE_PHASE_POSTCOPY], 0);
	assert_int_equal(now.bytes_further, 0);
	params.streams = 3;
	now = move("tcp:127.0.0.1:0", &params);
	assert_true(!now.handover && now.round > 0);
	assert_true(now.bytes_further > now.bytes / 3 && now.bytes_further < now.bytes);
}

static void by_its_memory_itself(void **state)
{
	const struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;

	(void)state;
	now = move(next_address(), &params);
	assert_true(now.handover);
	assert_true(now.bytes < 1 * MiB); /* its pages stayed where they were */
}

static void before_its_memory(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;

	(void)state;
	params.strategy = MIGRATE_POSTCOPY;
	params.bandwidth = 1 * KiB; /* which is that of rounds */
	now = move(next_address(), &params);
	assert_true(!now.handover && !now.round && now.asked > 0);
	/* all pages have gone, those that were asked for among them */
	assert_true(now.batch.pages >= 16 * MiB / PAGE_SIZE);
	assert_true(now.bytes_in[MIGRATE_PHASE_POSTCOPY] > now.bytes / 2);
	params.streams = 2;
	params.strategy = MIGRATE_HYBRID;
	params.bandwidth = 0;
	now = move("tcp:127.0.0.1:0", &params);
	assert_int_equal(now.round, 1);
	for (unsigned int i = 0; i < MIGRATE_NR_PHASES; i++)
		assert_true(now.bytes_in[i] > 0);
}

/*
 * A guest that writes faster than rounds go, for some of them, or until it is slowed down: by how
 * much.
 */
static unsigned int slowed_down_by(bool auto_converge)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	u64 until = now_ns() + BOUNDED_NS;
	struct migrate_progress now;
	struct outgoing *out;
	struct runner r;
	struct other o;
	unsigned int most = 0;
	bool told = false; /* the rates; a round in which the guest did not run has none */

	runner_make(&r, MEMORY, NR_CPUS, JOB);
	other_open(&o, next_address(), NULL);
	runner_run(&r);
	params.copy = true;
	params.bandwidth = 2 * MiB;
	params.downtime_ns = 0;
	params.auto_converge = auto_converge;
	out = leave(&r, incoming_address(o.in), &params);
	do {
		usleep(1000);
		outgoing_progress(out, &now);
		most = MAX(most, now.throttle);
		told = told || (now.rate > 0 && now.pages_rate > 0);
		assert_false(migrate_is_over(now.status));
		assert_true(now_ns() < until);
	} while (!told || (!most && now.round < (auto_converge ? 40u : 6u)));
	assert_true(now.setup_ns < now.total_ns);
	assert_int_equal(outgoing_cancel(out, NULL), 0);
	now = end_of(out);
	assert_int_equal(now.status, MIGRATE_CANCELLED);
	assert_int_equal(now.throttle, 0);
	runner_expect_counts(&r, ROUNDS);
	outgoing_destroy(out);
	runner_destroy(&r);
	other_close(&o);
	return most;
}

/*
 * It may stand still for all that a round leaves, and does so for a little of it at a time; if the
 * other side answers soon, which it need not on a busy host.
 */
static void in_slices(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now = {.slices = 0};

	(void)state;
	params.copy = true;
	params.bandwidth = 8 * MiB;
	params.downtime_ns = 1000000000;
	for (int i = 0; i < 5 && !now.slices; i++)
		now = move(next_address(), &params);
	assert_true(now.slices > 0);
	assert_true(now.downtime_ns < params.downtime_ns);
}

static void slowed_down_if_it_may_be(void **state)
{
	(void)state;
	runner_need_kvm();
	assert_true(slowed_down_by(true) > 0);
	assert_int_equal(slowed_down_by(false), 0);
}

/* Over UNIX and TCP, on several connections, before the guest runs there and afterwards. */
static void with_a_key(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;

	(void)state;
	strcpy(params.psk_file, key_path);
	now = move(next_address(), &params);
	assert_true(!now.handover && now.round > 0); /* a descriptor cannot be passed along */
	params.streams = 2;
	params.strategy = MIGRATE_POSTCOPY;
	now = move("tcp:127.0.0.1:0", &params);
	assert_true(!now.round && now.asked > 0);
}

static void with_a_spill(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;

	(void)state;
	strcpy(params.spill, spill_path);
	params.strategy = MIGRATE_POSTCOPY;
	move(next_address(), &params);
	assert_int_equal(image_test_files(spill_path), 1); /* whether it was needed or not */
	image_test_remove(spill_path);
}

static void expect_arrival(struct other *o, enum migrate_status status)
{
	u64 until = now_ns() + BOUNDED_NS;
	struct migrate_progress now;

	do {
		usleep(1000);
		incoming_progress(o->in, &now);
		if (now_ns() > until)
			fail_msg("it stays %s", migrate_status_names[now.status]);
	} while (now.status != status);
}

/* Of the one file in that directory, some bytes in the middle; a second time, back. */
static void flip_middle(const char *where)
{
	char path[PATH_MAX];
	DIR *d = opendir(where);
	struct dirent *e = NULL;
	struct stat st;
	u8 bytes[64];
	int fd;

	assert_non_null(d);
	while ((e = readdir(d)) && e->d_name[0] == '.')
		;
	assert_non_null(e);
	snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
	closedir(d);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && !fstat(fd, &st));
	assert_int_equal(pread(fd, bytes, sizeof(bytes), st.st_size / 2), sizeof(bytes));
	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] ^= 0xff;
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), st.st_size / 2), sizeof(bytes));
	close(fd);
}

/*
 * The source is lost, and most of the guest's memory would be with it. Files that are damaged are
 * not the end of it either.
 */
static void from_its_spill_alone(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;
	struct outgoing *out;
	struct runner r;
	struct other o;

	(void)state;
	runner_need_kvm();
	runner_make(&r, MEMORY, NR_CPUS, JOB);
	other_open(&o, next_address(), NULL);
	runner_run(&r);
	strcpy(params.spill, spill_path);
	params.strategy = MIGRATE_POSTCOPY;
	params.post_bandwidth = 64 * KiB; /* it would take longer than the test */
	/* paused, so that it asks for nothing: that would be answered beside the limit */
	out = leave_as(&r, incoming_address(o.in), &params, false);
	expect_arrival(&o, MIGRATE_POSTCOPY_ACTIVE);
	do { /* pushing begins once all of it is written */
		outgoing_progress(out, &now);
		usleep(1000);
	} while (!now.batch.pages && !migrate_is_over(now.status));
	outgoing_destroy(out);
	runner_destroy(&r);
	expect_arrival(&o, MIGRATE_POSTCOPY_PAUSED);
	incoming_progress(o.in, &now);
	assert_true(now.pages_left > 1000);
	flip_middle(spill_path);
	assert_int_equal(incoming_finish_from(o.in, spill_path, NULL), 0);
	expect_arrival(&o, MIGRATE_POSTCOPY_PAUSED);
	incoming_progress(o.in, &now);
	assert_true(now.why.text[0] && now.pages_left > 0);
	flip_middle(spill_path);
	assert_int_equal(incoming_finish_from(o.in, spill_path, NULL), 0);
	expect_arrival(&o, MIGRATE_COMPLETED);
	vm_resume(o.runner.vm);
	runner_expect_counts(&o.runner, ROUNDS);
	other_close(&o);
	image_test_remove(spill_path);
}

/* ---- Second thoughts ---- */

/* Somebody listens there, and does not even greet: that would be waited for. */
static void cancelled_while_it_connects(void **state)
{
	const struct wire_config plain = {.timeout_ms = HUNG_MS};
	const struct migrate_params params = MIGRATE_DEFAULTS;
	struct wire_listener *l;
	struct outgoing *out;
	struct runner r;
	u64 since;

	(void)state;
	runner_need_kvm();
	runner_make(&r, MEMORY, NR_CPUS, JOB);
	runner_run(&r);
	assert_int_equal(wire_listen(&l, next_address(), &plain, NULL), 0);
	for (u32 i = 0; i < 2; i++) {
		out = leave(&r, wire_address(l), &params);
		usleep(i * 100000);
		since = quiet_ns();
		assert_int_equal(outgoing_cancel(out, NULL), 0);
		assert_int_equal(end_of(out).status, MIGRATE_CANCELLED);
		outgoing_destroy(out);
		assert_true(quiet_ns() - since < 3000000000);
	}
	runner_expect_alive(&r);
	runner_destroy(&r);
	wire_unlisten(l);
}

/* A destination up to the word that it could run the guest; in the place of struct other. */
static struct wire *be_ready(struct wire_listener *l, u8 session[16])
{
	struct migrate_hello hello;
	struct wire_message msg;
	struct wire *w;

	assert_int_equal(wire_accept(l, -1, &w, &msg, NULL), 0);
	assert_int_equal(migrate_take_hello(&msg, &hello, NULL), 0);
	memcpy(session, hello.session, 16);
	assert_int_equal(migrate_say_hello(w, session, MIGRATE_MAIN, 0, NULL), 0);
	assert_int_equal(migrate_expect(w, MIGRATE_SETUP, -1, &msg, NULL), 0);
	assert_int_equal(wire_send(w, MIGRATE_READY, NULL, 0, NULL), 0);
	do {
		assert_int_equal(migrate_receive(w, -1, &msg, NULL), 0);
		if (msg.type == MIGRATE_FLUSH)
			assert_int_equal(wire_send(w, MIGRATE_FLUSHED, NULL, 0, NULL), 0);
	} while (msg.type != MIGRATE_STATE);
	return w;
}

/*
 * It is cancelled when the other side has all of it, and would wait for ever for the last word: it
 * is told.
 */
static void cancelled_at_the_last_moment(void **state)
{
	const struct wire_config plain = {.timeout_ms = HUNG_MS};
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct wire_listener *l;
	struct migrate_hello hello;
	struct wire_message msg;
	struct outgoing *out;
	struct err err = {.text = ""};
	struct wire *w, *last;
	struct runner r;
	u8 session[16];

	(void)state;
	runner_need_kvm();
	runner_make(&r, MEMORY, NR_CPUS, JOB);
	runner_run(&r);
	assert_int_equal(wire_listen(&l, next_address(), &plain, NULL), 0);
	params.copy = true;
	out = leave(&r, wire_address(l), &params);
	w = be_ready(l, session);
	assert_int_equal(outgoing_cancel(out, NULL), 0);
	assert_int_equal(wire_accept(l, 20000, &last, &msg, NULL), 0);
	assert_int_equal(migrate_take_hello(&msg, &hello, NULL), 0);
	assert_int_equal(hello.role, MIGRATE_CONFIRM);
	assert_memory_equal(hello.session, session, 16);
	assert_int_equal(migrate_say_hello(last, session, MIGRATE_CONFIRM, 0, NULL), 0);
	assert_int_equal(migrate_receive(last, 20000, &msg, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "refuses: "));
	assert_int_equal(end_of(out).status, MIGRATE_CANCELLED);
	runner_expect_counts(&r, ROUNDS);
	outgoing_destroy(out);
	runner_destroy(&r);
	wire_close(w);
	wire_close(last);
	wire_unlisten(l);
}

/* One migration that is given up at some moment; whether the guest has moved all the same. */
static bool try_and_cancel(struct runner *r, struct other *o)
{
	struct migrate_params params = MIGRATE_DEFAULTS;
	struct migrate_progress now;
	struct outgoing *out;
	struct err err = {.text = ""};
	bool moved;

	params.copy = any(4) > 0;
	params.postcopy = any(2);
	params.streams = 1 + any(3);
	params.strategy = any(4) ? MIGRATE_PRECOPY : MIGRATE_HYBRID;
	params.downtime_ns = any(2) ? 1000000 : 20000000;
	params.bandwidth = params.post_bandwidth = any(2) ? 0 : 100 * MiB;
	out = leave(r, incoming_address(o->in), &params);
	usleep(any(any(2) ? 400000 : 8000));
	moved = outgoing_cancel(out, &err) != 0;
	now = end_of(out);
	if (moved)
		assert_non_null(strstr(err.text, "cannot be cancelled"));
	if (!moved && now.status == MIGRATE_COMPLETED)
		moved = true; /* it was over before */
	assert_int_equal(now.status, moved ? MIGRATE_COMPLETED : MIGRATE_CANCELLED);
	outgoing_destroy(out);
	return moved;
}

static void cancelled_at_any_time(void **state)
{
	struct other *holder = NULL; /* of the guest, when it has moved */
	struct runner first, *r = &first;
	unsigned int nr_moved = 0;

	(void)state;
	runner_need_kvm();
	runner_make(r, MEMORY, NR_CPUS, JOB);
	runner_run(r);
	for (int i = 0; i < 40; i++) {
		struct other *o = malloc(sizeof(*o));

		other_open(o, next_address(), NULL);
		if (try_and_cancel(r, o)) {
			other_stop(o);
			runner_destroy(r);
			other_free(holder);
			holder = o;
			r = &o->runner;
			nr_moved++;
		} else {
			other_close(o);
			free(o);
		}
		runner_expect_alive(r);
	}
	print_message("%u of 40 had moved before they could be cancelled\n", nr_moved);
	runner_expect_counts(r, ROUNDS);
	runner_destroy(r);
	other_free(holder);
}

/* ---- Lost connections ---- */

static void be_proxy(const char *path, u64 cut_after)
{
	char bytes[32];
	int out = open("/dev/null", O_WRONLY);

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)cut_after);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that fails */
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execl(path, "proxy", proxy_address, unix_address, "--cut-after", bytes, NULL);
	_exit(127);
}

static pid_t start_proxy(u64 cut_after)
{
	const char *path = getenv("PROXY") ? getenv("PROXY") : "build/release/tests/proxy";
	pid_t pid;

	unlink(proxy_address + 5);
	pid = fork();
	if (!pid)
		be_proxy(path, cut_after);
	for (int i = 0; i < 5000 && access(proxy_address + 5, F_OK); i++)
		usleep(1000);
	return pid;
}

static void need_proxy(void)
{
	const char *path = getenv("PROXY") ? getenv("PROXY") : "build/release/tests/proxy";

	runner_need_kvm();
	if (access(path, X_OK)) {
		print_message("%s is not built\n", path);
		skip();
	}
}

static void stop_proxy(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

/* The connection breaks after so many bytes; the guest goes on in one of the two. */
static void cut_after(u64 bytes, const struct migrate_params *params)
{
	struct migrate_progress now;
	struct outgoing *out;
	struct runner r;
	struct other o;
	pid_t pid;

	runner_make(&r, MEMORY, NR_CPUS, JOB);
	other_open(&o, next_address(), NULL);
	pid = start_proxy(bytes);
	runner_run(&r);
	out = leave(&r, proxy_address, params);
	now = end_of(out);
	while (now.status == MIGRATE_POSTCOPY_PAUSED) {
		assert_true(now.why.text[0]);
		assert_int_equal(outgoing_recover(out, proxy_address, NULL), 0);
		now = end_of(out);
	}
	if (now.status == MIGRATE_COMPLETED) {
		expect_figures(&now);
		assert_true(now.batch.pages >= 16 * MiB / PAGE_SIZE); /* over all connections */
		runner_expect_counts(&o.runner, ROUNDS);
	} else {
		assert_int_equal(now.status, MIGRATE_FAILED);
		assert_true(now.why.text[0]);
		runner_expect_counts(&r, ROUNDS);
	}
	print_message("%llu bytes: %s\n", (unsigned long long)bytes,
		      migrate_status_names[now.status]);
	outgoing_destroy(out);
	runner_destroy(&r);
	other_close(&o);
	stop_proxy(pid);
}

static void cut_in_rounds(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;

	(void)state;
	need_proxy();
	params.copy = true;
	for (int i = 0; i < 10; i++) {
		params.streams = 1 + (unsigned int)i % 2;
		cut_after(i < 2 ? any(20000) : any(24 * MiB), &params);
	}
}

static void cut_in_postcopy(void **state)
{
	struct migrate_params params = MIGRATE_DEFAULTS;

	(void)state;
	need_proxy();
	params.strategy = MIGRATE_POSTCOPY;
	for (int i = 0; i < 10; i++) {
		params.streams = 1 + (unsigned int)i % 2;
		cut_after(i < 1 ? any(20000) : any(12 * MiB), &params);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_rounds),
		cmocka_unit_test(by_its_memory_itself),
		cmocka_unit_test(before_its_memory),
		cmocka_unit_test(in_slices),
		cmocka_unit_test(slowed_down_if_it_may_be),
		cmocka_unit_test(with_a_key),
		cmocka_unit_test(with_a_spill),
		cmocka_unit_test(from_its_spill_alone),
		cmocka_unit_test(cancelled_at_any_time),
		cmocka_unit_test(cancelled_while_it_connects),
		cmocka_unit_test(cancelled_at_the_last_moment),
		cmocka_unit_test(cut_in_rounds),
		cmocka_unit_test(cut_in_postcopy),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
