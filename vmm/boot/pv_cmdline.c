// SPDX-License-Identifier: Apache-2.0
/* Contract in pv_cmdline.h. */
#include "vmm/boot/pv_cmdline.h"

#include <stdio.h>
#include <string.h>

#include "mm/base/base.h"

#define BLANKS " \t\n\v\f\r"

#define SERIAL "console=ttyS0"
#define HVC    "console=hvc0"

static size_t word_length(const char *at)
{
	bool quoted = false;
	size_t n;

	for (n = 0; at[n] && (quoted || !strchr(BLANKS, at[n])); n++)
		quoted ^= at[n] == '"';
	return n;
}

/* Whether the word at @at begins with @name; in names of parameters '-' is the same as '_'. */
static bool is_named(const char *at, const char *name)
{
	for (; *name; at++, name++)
		if (*at != *name && !(*name == '_' && *at == '-'))
			return false;
	return true;
}

static bool is_serial_console(const char *at, size_t n)
{
	size_t len = strlen(SERIAL);

	return n >= len && is_named(at, SERIAL) && (n == len || at[len] == ',');
}

/* Whether one of the kernel's words begins with @name. */
static bool says(const char *at, const char *name)
{
	while (*at) {
		size_t n = word_length(at);

		if (n == 2 && !strncmp(at, "--", 2))
			return false;
		if (is_named(at, name))
			return true;
		at += n;
		at += strspn(at, BLANKS);
	}
	return false;
}

/* What comes first. Returns how long it is. */
static size_t put_front(char line[MAX_GUEST_CMDLINE], const char *append, unsigned int nr_cpus)
{
	size_t n = 0;

	if (nr_cpus && !says(append, "nr_cpus=") && !says(append, "maxcpus="))
		n = (size_t)snprintf(line, MAX_GUEST_CMDLINE, "nr_cpus=%u ", nr_cpus);
	if (nr_cpus && !says(append, "noreplace_smp"))
		n += (size_t)snprintf(line + n, MAX_GUEST_CMDLINE - n, "noreplace-smp ");
	return n + strlen(append) < MAX_GUEST_CMDLINE ? n : 0;
}

void pv_cmdline(char line[MAX_GUEST_CMDLINE], const char *append, unsigned int nr_cpus)
{
	size_t to = put_front(line, append, nr_cpus);
	bool ours = true; /* the kernel's words */

	ASSERT(strlen(append) < MAX_GUEST_CMDLINE);
	/* what is put in place of a word is shorter than it */
	while (*append) {
		size_t blanks = strspn(append, BLANKS), n = word_length(append + blanks), put = n;
		const char *word = append + blanks, *from = word;

		ours &= n != 2 || strncmp(word, "--", 2);
		if (ours && is_serial_console(word, n)) {
			from = HVC;
			put = strlen(HVC);
		}
		memcpy(line + to, append, blanks);
		memcpy(line + to + blanks, from, put);
		to += blanks + put;
		append = word + n;
	}
	line[to] = '\0';
}
