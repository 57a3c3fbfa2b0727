// SPDX-License-Identifier: Apache-2.0
/*
 * An error that a person will read: a code for the program and one line for the user.
 *
 * A function that can fail for reasons worth a sentence takes a struct err. It writes there only
 * when it fails, and once: the place that knows best says "what: why (what to do)", every caller
 * passes it on untouched, and the edge (main, the control socket) prints it.
 */
#ifndef QUIRE_MM_BASE_ERR_H
#define QUIRE_MM_BASE_ERR_H

struct err {
	char text[320];
};

/*
 * Store the sentence and return @code, a negative errno, so that a failing path is one statement:
 *	return err_set(err, -EINVAL, "%s: not an ELF file (give a vmlinux or a bzImage)", path);
 * @err may be NULL: the sentence is dropped. Control characters, as from a hostile file name,
 * become '?'.
 */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
