// SPDX-License-Identifier: Apache-2.0
/*
 * Where absent pages come from, if they are not zeros: the image that the guest was restored from
 * (mm/image/image_pager.c), or the host that it is moving away from (mm/engine/remote.h). The
 * engine asks a pager for a page once: what came counts from then on.
 *
 * Any thread may call any of these at any time. has() and took() are called with the engine's lock
 * held, so they must not wait, nor call the engine; the others are called without.
 */
#ifndef QUIRE_MM_SPACE_PAGER_H
#define QUIRE_MM_SPACE_PAGER_H

#include "mm/base/base.h"
#include "mm/codec/codec.h"
#include "mm/base/err.h"
#include "mm/base/addr.h"

struct pager;

struct pager_ops {
	/*
	 * Pages [no, no + n), n at most 32, to @pages. May wait, for as long as it takes. -errno
	 * with a sentence: not all of them can be had; -ECANCELED: pager_cut() has been.
	 */
	int (*read)(struct pager *p, page_no no, u32 n, u8 *pages, struct err *err);
	/*
	 * One page as it is kept; what data points to lies in @room, which has space for a page.
	 * -EBUSY: it can be had once only (owes()), and not by this way.
	 */
	int (*read_block)(struct pager *p, page_no no, struct codec_block *block, void *room,
			  struct err *err);
	/* Whether the page is zeros for sure, found without asking anybody. NULL: never known. */
	bool (*knows_zero)(struct pager *p, page_no no);
	/* Whether @page is what the pager would give, found without waiting; NULL: never known. */
	bool (*same)(struct pager *p, page_no no, const void *page);
	/* Whether an absent page is as the pager has it, and not zeros. NULL: all are. */
	bool (*has)(struct pager *p, page_no no);
	/* From now on the page is what the engine has of it. NULL: the pager keeps no count. */
	void (*took)(struct pager *p, page_no no);
	/* Whether there are pages that it can give only once, and has yet to. NULL: never. */
	bool (*owes)(struct pager *p);
	/* Whoever waits in it waits no longer, and nobody will again. NULL: nobody ever does. */
	void (*cut)(struct pager *p);
	/* It brings pages by itself; the engine need not bring in what nobody asks for. */
	bool pushes;
	u32 most;				 /* pages worth reading together, 1 to 32 */
	enum { PAGER_IMAGE, PAGER_REMOTE } kind; /* how faults are counted: mem_fault_kind */
};

/* What each pager's own state begins with. */
struct pager {
	const struct pager_ops *ops;
};

static inline bool pager_has(struct pager *p, page_no no)
{
	return p && (!p->ops->has || p->ops->has(p, no));
}

static inline bool pager_knows_zero(struct pager *p, page_no no)
{
	return p->ops->knows_zero && p->ops->knows_zero(p, no);
}

static inline void pager_took(struct pager *p, page_no no)
{
	if (p && p->ops->took)
		p->ops->took(p, no);
}

static inline bool pager_owes(struct pager *p)
{
	return p && p->ops->owes && p->ops->owes(p);
}

static inline void pager_cut(struct pager *p)
{
	if (p && p->ops->cut)
		p->ops->cut(p);
}

#endif
