// SPDX-License-Identifier: Apache-2.0
/* The guests of this host; the contract is in fleet.h. */
#include "tools/top/fleet.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUFFIX ".qmp"

u64 fleet_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

void fleet_fini(struct fleet *f)
{
	for (size_t i = 0; i < f->nr; i++)
		guest_destroy(f->guests[i]);
	f->nr = 0;
}

/* ---- Who is there ---- */

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static void runtime_dir(char *path, size_t size)
{
	const char *own = env("QUIRE_RUNTIME_DIR"), *xdg = env("XDG_RUNTIME_DIR");

	snprintf(path, size, "%s%s", own ? own : xdg ? xdg : "/run", own ? "" : "/quire");
}

/* What quire itself lets a guest be called. */
static bool is_name(const char *name, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.-";

	return len && len <= GUEST_NAME_MAX && strspn(name, allowed) >= len && name[0] != '.' &&
	       name[0] != '-' && name[0] != '_';
}

static size_t find(const struct fleet *f, const char *name)
{
	size_t i = 0;

	while (i < f->nr && strcmp(f->guests[i]->name, name) < 0)
		i++;
	return i;
}

static void insert(struct fleet *f, size_t at, struct guest *g)
{
	memmove(&f->guests[at + 1], &f->guests[at], (f->nr - at) * sizeof(f->guests[0]));
	f->guests[at] = g;
	f->nr++;
	if (!strcmp(g->name, f->wanted)) {
		f->selected = at;
		f->chosen = true;
		f->wanted[0] = '\0';
	} else if (f->chosen && at <= f->selected) {
		f->selected++;
	}
}

static void remove_at(struct fleet *f, size_t at)
{
	guest_destroy(f->guests[at]);
	f->nr--;
	memmove(&f->guests[at], &f->guests[at + 1], (f->nr - at) * sizeof(f->guests[0]));
	if (f->selected > at || (f->selected && f->selected == f->nr))
		f->selected--;
	if (!f->nr)
		f->chosen = false;
}

/* A socket that nobody serves was left by a guest that was killed: it is none. */
static void add(struct fleet *f, const char *dir, const char *name, u64 now_ms)
{
	char path[GUEST_PATH_MAX];
	size_t at = find(f, name);
	struct guest *g;

	if (f->nr == FLEET_MAX || (at < f->nr && !strcmp(f->guests[at]->name, name)))
		return;
	if (snprintf(path, sizeof(path), "%s/%s" SUFFIX, dir, name) >= (int)sizeof(path))
		return;
	if (guest_create(&g, name, path))
		return;
	guest_connect(g, now_ms);
	if (g->gone)
		guest_destroy(g);
	else
		insert(f, at, g);
}

static void drop_gone(struct fleet *f, u64 now_ms)
{
	for (size_t i = f->nr; i-- > 0;) {
		guest_connect(f->guests[i], now_ms);
		if (f->guests[i]->gone)
			remove_at(f, i);
	}
}

int fleet_scan(struct fleet *f, u64 now_ms, struct err *err)
{
	char path[4096];
	struct dirent *entry;
	DIR *dir;

	drop_gone(f, now_ms);
	runtime_dir(path, sizeof(path));
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(err, -errno, "runtime directory %s: %s (set QUIRE_RUNTIME_DIR)",
			       path, strerror(errno));
	while ((entry = readdir(dir))) {
		char name[GUEST_NAME_MAX + 1];
		size_t len = strlen(entry->d_name), suffix = strlen(SUFFIX);

		if (len <= suffix || strcmp(entry->d_name + len - suffix, SUFFIX) ||
		    !is_name(entry->d_name, len - suffix))
			continue;
		memcpy(name, entry->d_name, len - suffix);
		name[len - suffix] = '\0';
		add(f, path, name, now_ms);
	}
	closedir(dir);
	return 0;
}

/* ---- What they say ---- */

void fleet_ask(struct fleet *f, u64 now_ms, u32 map_cells)
{
	for (size_t i = 0; i < f->nr; i++)
		guest_ask(f->guests[i], now_ms, i == f->selected ? map_cells : 0);
}

bool fleet_wait(struct fleet *f, int extra_fd, u64 until_ms)
{
	struct pollfd fds[FLEET_MAX + 1];
	u64 now = fleet_now_ms();
	int ret;

	for (size_t i = 0; i < f->nr; i++)
		fds[i] = (struct pollfd){
			.fd = f->guests[i]->link == LINK_NONE ? -1 : f->guests[i]->wire.fd,
			.events = guest_events(f->guests[i]),
		};
	fds[f->nr] = (struct pollfd){.fd = extra_fd, .events = POLLIN};
	ret = poll(fds, f->nr + 1, until_ms > now ? (int)MIN(until_ms - now, (u64)60000) : 0);
	if (ret < 0)
		return true;
	now = fleet_now_ms();
	for (size_t i = 0; i < f->nr; i++)
		guest_ready(f->guests[i], fds[i].revents, now);
	return fds[f->nr].revents;
}

struct guest *fleet_selected(const struct fleet *f)
{
	return f->nr ? f->guests[f->selected] : NULL;
}

void fleet_select(struct fleet *f, long step)
{
	long to = (long)f->selected + step;

	if (!f->nr)
		return;
	f->selected = (size_t)MIN(MAX(to, 0), (long)f->nr - 1);
	f->chosen = true;
}
