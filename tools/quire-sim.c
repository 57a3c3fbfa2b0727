// SPDX-License-Identifier: Apache-2.0
/*
 * quire-sim: replay a reference trace through replacement policies. The policies are those of mm/,
 * the same code that a live guest's memory engine uses.
 *
 *	options.c	the command line
 *	generate.c	built-in traces
 *	study.c		what is replayed, and the loop over policies and sizes
 *	replay.c	one trace through one policy
 *	opt.c		the bounds: OPT, and Denning's working set
 *	report.c svg.c	what came of it, as table, JSON and drawing
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/sim/generate.h"
#include "tools/sim/report.h"
#include "tools/sim/svg.h"

/* Exit statuses, as quire's own commands have them. */
enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

static int complain(const struct err *err, int status)
{
	fprintf(stderr, "quire-sim: %s\n", err->text);
	return status;
}

/* Whether the operands are a reference string rather than the name of a file. */
static bool are_numbers(const struct options *o)
{
	if (o->nr_operands == 1 && !access(o->operands[0], F_OK))
		return false;
	for (int i = 0; i < o->nr_operands; i++)
		if (strspn(o->operands[i], "0123456789, \t\n") != strlen(o->operands[i]))
			return false;
	return true;
}

static int read_numbers(struct study *st, const struct options *o, struct err *err)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int ret;

	if (!f)
		return err_set(err, -ENOMEM, "not enough memory");
	for (int i = 0; i < o->nr_operands; i++)
		fprintf(f, "%s ", o->operands[i]);
	if (fclose(f))
		ret = err_set(err, -ENOMEM, "not enough memory");
	else
		ret = trace_parse(&st->trace, "trace", text, len, err);
	free(text);
	st->name = "trace";
	return ret;
}

static int read_file(struct study *st, const char *path, struct err *err)
{
	int fd, ret;

	st->name = strcmp(path, "-") ? path : "standard input";
	if (!strcmp(path, "-"))
		return trace_read(&st->trace, st->name, STDIN_FILENO, err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s (give a trace, or numbers such as 7,0,1,2)",
			       path, strerror(errno));
	ret = trace_read(&st->trace, path, fd, err);
	close(fd);
	if (!ret && st->trace.cut)
		fprintf(stderr, "quire-sim: %s: its last line is not whole and was left out\n",
			path);
	return ret;
}

static int get_trace(struct study *st, const struct options *o, struct err *err)
{
	if (o->generate) {
		st->name = o->generate;
		return generate(&st->trace, o->generate, err);
	}
	if (are_numbers(o))
		return read_numbers(st, o, err);
	return read_file(st, o->operands[0], err);
}

static int run(struct study *st, const struct options *o, struct err *err)
{
	int ret = study_run(st, o, err);

	if (!ret && o->json)
		ret = report_json(st, err);
	else if (!ret)
		report_table(st);
	if (!ret && o->svg)
		ret = svg_draw(st, o->svg, err);
	return ret;
}

static int check_operands(const struct options *o, struct err *err)
{
	if (o->generate && o->nr_operands)
		return err_set(err, -EINVAL, "%s: unexpected (--generate is the trace)",
			       o->operands[0]);
	if (!o->generate && !o->nr_operands)
		return err_set(err, -EINVAL, "no trace given (quire-sim --help shows how)");
	if (o->nr_operands > 1 && !are_numbers(o))
		return err_set(err, -EINVAL, "%s: unexpected (give one trace)", o->operands[1]);
	return 0;
}

static int work(const struct options *o)
{
	struct study *st = calloc(1, sizeof(*st));
	int status = STATUS_OK;
	struct err err;

	if (!st || get_trace(st, o, &err)) {
		if (!st)
			err_set(&err, -ENOMEM, "not enough memory");
		status = complain(&err, STATUS_FAILED);
	} else if (o->print) {
		report_trace(&st->trace);
	} else if (study_prepare(st, o, &err)) {
		status = complain(&err, STATUS_USAGE);
	} else if (run(st, o, &err)) {
		status = complain(&err, STATUS_FAILED);
	}
	if (st)
		study_free(st);
	free(st);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	struct err err;
	int status;

	if (options_parse(&o, argc, argv, &err))
		return complain(&err, STATUS_USAGE);
	if (o.help) {
		options_help();
		return STATUS_OK;
	}
	if (check_operands(&o, &err))
		return complain(&err, STATUS_USAGE);
	status = work(&o);
	if (fflush(stdout) || ferror(stdout)) {
		err_set(&err, -EIO, "standard output: could not be written");
		return complain(&err, STATUS_FAILED);
	}
	return status;
}
