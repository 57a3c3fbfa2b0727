// SPDX-License-Identifier: Apache-2.0
/*
 * Loading drivers for the devices that are there.
 *
 * A device tells what it is in its modalias file in /sys; a driver tells what it drives by patterns
 * over such names, collected in /lib/modules/aliases. /lib/modules/load has the files of each
 * driver, what it depends on first. A driver brings new devices to light (virtio_pci a virtio bus
 * with disks on it), so all is gone through again until nothing more is found.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/linux/modules.h"

#define DIR "/lib/modules/"

#define MAX_MODULES 64
#define MAX_ALIASES 128

/* A driver, and the names of its files in load order, as one string with blanks between them. */
struct module {
	char *name;
	char *files;
	bool done; /* loaded, or tried in vain */
};

struct alias {
	char *pattern;
	char *module;
};

/* The tables; their strings point into the text of the files. */
struct tables {
	struct module modules[MAX_MODULES];
	struct alias aliases[MAX_ALIASES];
	size_t nr_modules;
	size_t nr_aliases;
	char load_text[4096];
	char alias_text[8192];
};

/* Read a file of text into @text; its newline at the end is dropped, and what does not fit. */
static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (length < 0)
		length = 0;
	if (length && text[length - 1] == '\n')
		length--;
	text[length] = 0;
}

/* Lines "NAME: FILE FILE..." and "PATTERN NAME". */
static void read_tables(struct tables *tables)
{
	char *rest, *line, *second;

	read_text(DIR "load", tables->load_text, sizeof(tables->load_text));
	rest = tables->load_text;
	while ((line = strsep(&rest, "\n")) && tables->nr_modules < MAX_MODULES) {
		second = strstr(line, ": ");
		if (!second)
			continue;
		*second = 0;
		tables->modules[tables->nr_modules++] = (struct module){line, second + 2, false};
	}
	read_text(DIR "aliases", tables->alias_text, sizeof(tables->alias_text));
	rest = tables->alias_text;
	while ((line = strsep(&rest, "\n")) && tables->nr_aliases < MAX_ALIASES) {
		second = strrchr(line, ' ');
		if (!second)
			continue;
		*second = 0;
		tables->aliases[tables->nr_aliases++] = (struct alias){line, second + 1};
	}
}

/* Several drivers need the same files: one that is loaded already is no mistake. */
static int load_file(const char *name)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), DIR "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST ? -errno : 0;
	close(fd);
	return ret;
}

static void load_module(struct module *module)
{
	char *rest = module->files;
	char *name;
	int ret;

	module->done = true;
	while ((name = strsep(&rest, " "))) {
		ret = load_file(name);
		if (ret) {
			printf("quire-linux: %s does not load: %s\n", name, strerror(-ret));
			return;
		}
	}
}

static struct module *find_module(struct tables *tables, const char *name)
{
	for (size_t i = 0; i < tables->nr_modules; i++)
		if (!strcmp(tables->modules[i].name, name))
			return &tables->modules[i];
	return NULL;
}

/*
 * Returns whether a driver was new. An alias may name a dependency, which has no line of its own.
 */
static bool serve_device(struct tables *tables, const char *modalias)
{
	bool found = false;

	for (size_t i = 0; i < tables->nr_aliases; i++) {
		const struct alias *alias = &tables->aliases[i];
		struct module *module = find_module(tables, alias->module);

		if (!module || module->done || fnmatch(alias->pattern, modalias, 0))
			continue;
		load_module(module);
		found = true;
	}
	return found;
}

static bool serve_bus(struct tables *tables, const char *pattern)
{
	bool found = false;
	char modalias[1024];
	glob_t paths;

	if (glob(pattern, GLOB_NOSORT, NULL, &paths))
		return false;
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		read_text(paths.gl_pathv[i], modalias, sizeof(modalias));
		if (serve_device(tables, modalias))
			found = true;
	}
	globfree(&paths);
	return found;
}

void modules_load(void)
{
	static const char *const buses[] = {
		"/sys/bus/acpi/devices/*/modalias",   "/sys/bus/pci/devices/*/modalias",
		"/sys/bus/virtio/devices/*/modalias", "/sys/bus/nd/devices/*/modalias",
		"/sys/class/input/input*/modalias",
	};
	struct tables tables = {.nr_modules = 0};
	bool found;

	read_tables(&tables);
	do {
		found = false;
		for (size_t i = 0; i < sizeof(buses) / sizeof(buses[0]); i++)
			if (serve_bus(&tables, buses[i]))
				found = true;
	} while (found);
}
