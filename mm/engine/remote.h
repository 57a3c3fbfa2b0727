// SPDX-License-Identifier: Apache-2.0
/*
 * The pager of a guest that has moved here before its memory did (post-copy): pages that are still
 * missing are asked of the source when the guest touches them, and the source pushes the others.
 * It knows which are missing; each page is taken once, from whichever side it comes first.
 *
 * Who talks to the source is somebody else (vmm/): remote_host.ask() sends a request, and what
 * comes is handed in through remote_page() and remote_block(), asked for or not.
 *
 *	MISSING --- fault or read ---> ASKED --- it comes ---> HERE
 *	   +------------------ it comes, pushed ----------------^
 *
 * A page that comes while somebody waits for it goes to whoever waits; else to the engine
 * (put_missing_page() and its like), under which the guest can run at the same time. It is HERE
 * once it is in guest memory or in the store, so what was lost on the way is missing still, and may
 * be asked for though the source has sent it: the source keeps all pages until none is missing.
 */
#ifndef QUIRE_MM_ENGINE_REMOTE_H
#define QUIRE_MM_ENGINE_REMOTE_H

#include "mm/space/pager.h"

struct mem;
struct remote;

struct remote_host {
	void *opaque;
	/*
	 * Somebody waits for pages [no, no + n): ask the source. It must not wait for the answer.
	 * Any thread, several at once. An error is as good as a lost request: remote_ask_again()
	 * comes when there is a new connection.
	 */
	void (*ask)(void *opaque, page_no no, u32 n);
	/*
	 * Nothing is missing any more. NULL: nobody wants to know. On the thread that put the last
	 * page, with the engine's lock held: it must not call the engine.
	 */
	void (*all_here)(void *opaque);
};

/* All @nr_pages are HERE at first: a destination asks for nothing before remote_begin(). */
int remote_create(struct remote **out, u32 nr_pages, const struct remote_host *host);
void remote_destroy(struct remote *r); /* NULL is allowed; the engine must be gone */
struct pager *remote_pager(struct remote *r);

/*
 * What remote_begin() would do first, and what takes its time: the engine takes charge of what has
 * come so far. Pages may come and go as before. 0 or -errno.
 */
int remote_prepare(struct remote *r, struct mem *mem, struct err *err);

/*
 * Once prepared, and before remote_begin(), which would do it while the guest stands still: what
 * came of @pages counts no more, and is dropped, by a system call for each run of pages. They may
 * come again. Of @pages is left what there was to drop.
 */
void remote_forget(struct remote *r, struct mem *mem, u64 *pages);

/*
 * Before the guest runs here: the pages of @missing (a bit for each) are to come; what the engine
 * had of them before counts no more. 0 or -errno.
 */
int remote_begin(struct remote *r, struct mem *mem, const u64 *missing, struct err *err);

/*
 * A page has come. One that is here already is left as it is (it may have been written since): not
 * an error. -EBADMSG: it cannot be opened; -EINVAL: no such page; -ENOMEM; -ECANCELED: the guest
 * was cut off. Any thread, several at once; it may wait for room under the guest's limit.
 */
int remote_page(struct remote *r, page_no no, const void *page);
int remote_block(struct remote *r, page_no no, const struct codec_block *block);

/* Pages still missing, and which (bits of others are cleared). */
u32 remote_nr_missing(struct remote *r);
void remote_missing(struct remote *r, u64 *pages);

/* There is a new connection: ask() again for everything that somebody waits for. */
void remote_ask_again(struct remote *r);

struct remote_stats {
	u64 asked;		 /* pages that came to somebody who waited for them */
	u64 requests;		 /* calls of ask() */
	u64 pushed;		 /* pages that came before anybody asked */
	u64 waited_ns, worst_ns; /* by those who waited, in all and at worst */
};

void remote_get_stats(struct remote *r, struct remote_stats *stats);

#endif
