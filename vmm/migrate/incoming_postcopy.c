// SPDX-License-Identifier: Apache-2.0
/*
 * The guest runs here, and part of its memory is not here yet: it is received until none is
 * missing, over new connections where one is lost, or out of the files that the source has spilled.
 *
 * On the thread "incoming"; incoming_finish_from() is the owner's order. in->lock guards what the
 * two share: the files to finish from, the status.
 *
 * Always: a page that is missing stays so until it is in guest memory, whichever connection breaks
 * meanwhile (mm/engine/remote.h), so a new connection begins with what is missing then; and the
 * guest runs on, waiting where it must.
 */
#include "vmm/migrate/incoming_postcopy.h"

#include <errno.h>

#include "mm/image/image.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/incoming_link.h"
#include "vmm/migrate/incoming_pages.h"
#include "vmm/migrate/incoming_progress.h"
#include "vmm/migrate/spill.h"
#include "vmm/migrate/talk.h"

static int hear_after(struct incoming *in, bool *over, struct err *err)
{
	struct wire_message msg;
	int ret = migrate_receive(in->main, -1, &msg, err);

	if (ret)
		return ret;
	if (msg.type == MIGRATE_PAGES)
		return incoming_apply(in, &msg, err);
	if (msg.type != MIGRATE_PUSHED)
		return err_set(err, -EPROTO, "message %u came out of turn", msg.type);
	/* what was on its way on a connection that broke is sent again after recovery */
	ret = incoming_wait_last(in, err);
	if (!ret)
		ret = wire_send(in->main, MIGRATE_DONE, NULL, 0, err);
	*over = !ret;
	return ret;
}

static struct image *spill_of(struct incoming *in)
{
	struct image *spill;

	pthread_mutex_lock(&in->lock);
	spill = in->postcopy.spill;
	pthread_mutex_unlock(&in->lock);
	return spill;
}

/* Files are put away: the source may come back, or better files. */
static void close_spill(struct incoming *in)
{
	pthread_mutex_lock(&in->lock);
	image_close(in->postcopy.spill);
	in->postcopy.spill = NULL;
	if (!in->quit)
		wire_go_on_listening(in->listener);
	pthread_mutex_unlock(&in->lock);
}

static int fill_from_spill(struct incoming *in, struct image *spill, struct err *err)
{
	int ret = spill_fill(spill, in->remote, in->nr_pages, err);

	in->postcopy.filled = !ret;
	if (!ret)
		return 0;
	incoming_set_broken(in, ret, err);
	close_spill(in); /* it is damaged */
	return ret;
}

static int recover(struct incoming *in, const struct err *why, struct err *err)
{
	struct image *spill;
	int ret;

	incoming_close_main(in);
	pthread_mutex_lock(&in->lock);
	in->progress.why = *why;
	pthread_mutex_unlock(&in->lock);
	incoming_set_status(in, MIGRATE_POSTCOPY_PAUSED);
	ret = incoming_accept_main(in, MIGRATE_RECOVER, err);
	spill = spill_of(in);
	if (ret && spill)
		return fill_from_spill(in, spill, err);
	if (ret)
		return ret;
	if (spill)
		close_spill(in); /* the source was back before anybody had looked into it */
	remote_missing(in->remote, in->missing);
	ret = migrate_send_bitmap(in->main, MIGRATE_MISSING, in->missing, in->words, err);
	if (!ret)
		ret = incoming_accept_rest(in, err);
	if (ret)
		return ret;
	incoming_set_status(in, MIGRATE_POSTCOPY_ACTIVE);
	remote_ask_again(in->remote);
	return 0;
}

int incoming_complete(struct incoming *in, struct err *err)
{
	/* after a confirmation there are no streams: the source comes back with new ones */
	int ret = in->urgent ? 0 : -EPIPE;
	bool over = false;

	while (!over && ret != -ECANCELED) {
		struct err why = {.text = ""};

		if (!ret)
			ret = hear_after(in, &over, &why);
		if (ret && remote_nr_missing(in->remote) == 0) {
			over = true; /* nothing is lost with the other side */
		} else if (ret && !incoming_is_ending(in)) {
			incoming_end_streams(in);
			incoming_get_broken(in, &why); /* which came first */
			ret = recover(in, &why, err);
		}
		over |= in->postcopy.filled; /* there is nothing more to wait for */
		if (incoming_is_ending(in))
			ret = -ECANCELED;
	}
	if (over)
		incoming_set_status(in, MIGRATE_COMPLETED);
	return over ? 0 : ret;
}

/* Under lock. */
static bool may_finish(const struct incoming *in)
{
	return in->progress.status == MIGRATE_POSTCOPY_PAUSED && !in->postcopy.spill;
}

int incoming_finish_from(struct incoming *in, const char *dir, struct err *err)
{
	struct image *image = NULL;
	bool paused;
	int ret;

	pthread_mutex_lock(&in->lock);
	paused = may_finish(in);
	pthread_mutex_unlock(&in->lock);
	if (!paused)
		return err_set(err, -EINVAL, "there is no broken migration to recover");
	ret = spill_open(&image, dir, in->nr_pages, in->session, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&in->lock);
	paused = may_finish(in); /* the source may have come back meanwhile */
	if (paused) {
		in->postcopy.spill = image;
		in->progress.status = MIGRATE_POSTCOPY_RECOVER;
		wire_stop_listening(in->listener);
	}
	pthread_mutex_unlock(&in->lock);
	if (paused)
		return 0;
	image_close(image);
	return err_set(err, -EINVAL, "there is no broken migration to recover");
}
