// SPDX-License-Identifier: Apache-2.0
/*
 * quire-top: what the memory of this host's guests is doing, live on a terminal, or once as text.
 *
 * It is a client of each guest's control socket and nothing more (tools/top/guest.h): it can run as
 * often as one likes, and a guest does not notice beyond one answer per interval. One loop, no
 * threads: wait for keys and sockets, serve them, draw.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "tools/top/canvas.h"
#include "tools/top/fleet.h"
#include "tools/top/screen.h"
#include "tools/top/view.h"

#define MIN_INTERVAL_MS	    100
#define MAX_INTERVAL_MS	    3600000
#define DEFAULT_INTERVAL_MS 1000
#define SCAN_MS		    1000
#define MESSAGE_MS	    5000
#define ONCE_MS		    2100 /* a guest that hangs holds --once up for so long */
#define ONCE_WIDTH	    100
#define ONCE_HEIGHT	    48

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct top {
	struct fleet fleet;
	struct canvas canvas;
	bool once, help, quit;
	int width, height; /* of --once */
	u64 interval_ms;
	u32 map_cells;
	char message[GUEST_SAY_MAX];
	u64 message_until;
};

/* ---- Orders ---- */

static void set_message(struct top *t, const char *text, u64 now)
{
	snprintf(t->message, sizeof(t->message), "%s", text);
	t->message_until = now + MESSAGE_MS;
}

/* A guest without a limit is given one from its memory down; more than that limits nothing. */
static void change_limit(struct top *t, struct guest *g, bool up, u64 now)
{
	u64 memory = g->vitals.memory;
	u64 limit = g->sample.limit ? g->sample.limit : memory;

	if (!g->has_sample || (up && limit >= memory)) {
		set_message(t, g->has_sample ? "the limit is as high as memory" : "not known yet",
			    now);
		return;
	}
	limit = up ? limit + limit / 10 : limit - limit / 10;
	guest_give_order(g, ORDER_LIMIT, align_down(MIN(limit, memory), PAGE_SIZE), now);
}

static void toggle_pause(struct guest *g, u64 now)
{
	bool paused = !strcmp(g->vitals.state, "paused") || !strcmp(g->vitals.state, "prelaunch");

	guest_give_order(g, paused ? ORDER_RESUME : ORDER_PAUSE, 0, now);
}

static void take_char(struct top *t, char ch, u64 now)
{
	struct guest *g = fleet_selected(&t->fleet);

	if (ch == 'q')
		t->quit = true;
	else if (ch == '?')
		t->help = !t->help;
	else if (ch == 'j' || ch == 'k')
		fleet_select(&t->fleet, ch == 'j' ? 1 : -1);
	else if (!g)
		return;
	else if (ch == '+' || ch == '=' || ch == '-')
		change_limit(t, g, ch != '-', now);
	else if (ch == 'r')
		guest_give_order(g, ORDER_RECLAIM, align_down(g->sample.resident / 10, PAGE_SIZE),
				 now);
	else if (ch == ' ')
		toggle_pause(g, now);
}

/* ---- The live view ---- */

static int resize(struct top *t)
{
	struct canvas fresh;
	int width, height, ret;

	screen_size(&width, &height);
	ret = canvas_init(&fresh, width, height);
	if (ret)
		return ret;
	canvas_fini(&t->canvas);
	t->canvas = fresh;
	return 0;
}

static int take_keys(struct top *t, u64 now)
{
	size_t before = t->fleet.selected;
	char ch = 0;
	int ret = 0;

	for (;;) {
		switch (screen_key(&ch)) {
		case SCREEN_UP:
			fleet_select(&t->fleet, -1);
			break;
		case SCREEN_DOWN:
			fleet_select(&t->fleet, 1);
			break;
		case SCREEN_RESIZE:
			ret = resize(t);
			break;
		case SCREEN_CHAR:
			take_char(t, ch, now);
			break;
		case SCREEN_NONE:
			if (before != t->fleet.selected)
				fleet_ask(&t->fleet, now, t->map_cells);
			return ret;
		}
	}
}

static void take_said(struct top *t, u64 now)
{
	for (size_t i = 0; i < t->fleet.nr; i++) {
		struct guest *g = t->fleet.guests[i];

		if (g->said_new)
			set_message(t, g->said, now);
		g->said_new = false;
	}
}

static void draw(struct top *t, u64 now)
{
	struct view view = {
		.fleet = &t->fleet,
		.message = now < t->message_until ? t->message : NULL,
		.help = t->help,
		.now_ms = now,
	};

	t->map_cells = view_draw(&t->canvas, &view);
}

/* A terminal that was closed is readable for ever and has no keys. */
static bool terminal_lost(void)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int run_live(struct top *t, struct err *err)
{
	u64 now = fleet_now_ms(), scan_at = now, ask_at = now;
	int ret = 0;

	while (!t->quit && !ret && !terminal_lost()) {
		if (now >= scan_at) {
			ret = fleet_scan(&t->fleet, now, err);
			scan_at = now + SCAN_MS;
		}
		if (now >= ask_at) {
			fleet_ask(&t->fleet, now, t->map_cells);
			ask_at = now + t->interval_ms;
		}
		draw(t, now);
		screen_show(&t->canvas);
		/* answers come at once or not now: the wait after them is for the next round */
		fleet_wait(&t->fleet, STDIN_FILENO, MIN(scan_at, ask_at));
		now = fleet_now_ms();
		if (!ret && take_keys(t, now))
			ret = err_set(err, -ENOMEM, "no memory for a window of this size");
		take_said(t, now);
	}
	return ret;
}

static int live(struct top *t, struct err *err)
{
	int ret = screen_start(err);

	if (ret)
		return ret;
	ret = resize(t);
	if (ret)
		err_set(err, ret, "no memory for a window of this size");
	else
		ret = run_live(t, err);
	screen_stop();
	return ret;
}

/* ---- One frame as text ---- */

static bool all_settled(const struct fleet *f)
{
	for (size_t i = 0; i < f->nr; i++)
		if (!guest_settled(f->guests[i]))
			return false;
	return true;
}

static u64 settle(struct fleet *f, u64 now, u64 end)
{
	while (now < end && !all_settled(f)) {
		fleet_wait(f, -1, end);
		now = fleet_now_ms();
	}
	return now;
}

/* Two rounds: drawing the first tells how large a map fits. */
static int run_once(struct top *t, struct err *err)
{
	u64 now = fleet_now_ms(), end = now + ONCE_MS;
	int ret = fleet_scan(&t->fleet, now, err);

	if (ret)
		return ret;
	ret = canvas_init(&t->canvas, t->width, t->height);
	if (ret)
		return err_set(err, ret, "no memory for a frame of this size");
	now = settle(&t->fleet, now, end);
	draw(t, now);
	fleet_ask(&t->fleet, now, t->map_cells);
	draw(t, settle(&t->fleet, now, end));
	canvas_print(&t->canvas, stdout);
	if (fflush(stdout) || ferror(stdout))
		return err_set(err, -EIO, "standard output: %s", strerror(errno));
	return 0;
}

/* ---- Options ---- */

static void print_help(void)
{
	printf("usage: quire-top [OPTIONS] [NAME]\n"
	       "\n"
	       "What the memory of this host's guests is doing. NAME is selected at the start.\n"
	       "\n"
	       "  --once         one frame as text; so it is, too, when stdout is no terminal\n"
	       "  --interval MS  between two questions to each guest, from 100; default 1000\n"
	       "  --size WxH     columns and rows of --once; default 100x48\n"
	       "  --help         this text\n"
	       "\n"
	       "Keys: arrows j k select, + - limit, r reclaim, space pause or resume, ? help, "
	       "q quit\n");
}

static int parse_interval(const char *text, u64 *out, struct err *err)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || n < MIN_INTERVAL_MS ||
	    n > MAX_INTERVAL_MS)
		return err_set(err, -EINVAL,
			       "--interval %s: not a time (give %d to %d milliseconds)", text,
			       MIN_INTERVAL_MS, MAX_INTERVAL_MS);
	*out = n;
	return 0;
}

static int parse_size(const char *text, struct top *t, struct err *err)
{
	char tail;

	if (strspn(text, "0123456789x") != strlen(text) ||
	    sscanf(text, "%4dx%4d%c", &t->width, &t->height, &tail) != 2 || t->width < 1 ||
	    t->width > CANVAS_MAX || t->height < 1 || t->height > CANVAS_MAX)
		return err_set(err, -EINVAL, "--size %s: not a size (give columns x rows: 100x48)",
			       text);
	return 0;
}

#define SAID_HELP 1

static int parse_option(struct top *t, int option, const char *arg, const char *word,
			struct err *err)
{
	switch (option) {
	case 'o':
		t->once = true;
		return 0;
	case 'i':
		return parse_interval(arg, &t->interval_ms, err);
	case 's':
		return parse_size(arg, t, err);
	case 'h':
		print_help();
		return SAID_HELP;
	case ':':
		return err_set(err, -EINVAL, "%s: needs a value (quire-top --help)", word);
	default:
		return err_set(err, -EINVAL, "%s: no such option (quire-top --help)", word);
	}
}

static int parse(struct top *t, int argc, char **argv, struct err *err)
{
	static const struct option table[] = {
		{"once", no_argument, NULL, 'o'},
		{"interval", required_argument, NULL, 'i'},
		{"size", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option, ret = 0;

	opterr = 0;
	while (!ret && (option = getopt_long(argc, argv, "+:", table, NULL)) != -1)
		ret = parse_option(t, option, optarg, argv[optind - 1], err);
	if (ret)
		return ret;
	if (argc - optind > 1)
		return err_set(err, -EINVAL, "%s: unexpected (one guest can be named)",
			       argv[optind + 1]);
	if (optind < argc)
		snprintf(t->fleet.wanted, sizeof(t->fleet.wanted), "%s", argv[optind]);
	return 0;
}

int main(int argc, char **argv)
{
	static struct top top = {
		.width = ONCE_WIDTH, .height = ONCE_HEIGHT, .interval_ms = DEFAULT_INTERVAL_MS};
	struct err err;
	int ret = parse(&top, argc, argv, &err), status = EXIT_FAILED;

	if (ret == SAID_HELP)
		return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
	if (ret) {
		status = EXIT_USAGE;
	} else {
		ret = top.once || !isatty(STDOUT_FILENO) ? run_once(&top, &err) : live(&top, &err);
		fleet_fini(&top.fleet);
		canvas_fini(&top.canvas);
	}
	if (!ret)
		return EXIT_DONE;
	fprintf(stderr, "quire-top: %s\n", err.text);
	return status;
}
