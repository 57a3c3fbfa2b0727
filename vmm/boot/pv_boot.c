// SPDX-License-Identifier: Apache-2.0
/* The two names of a Xen PV guest's pages; see pv_boot.h. */
#include "vmm/boot/pv_boot.h"

u64 pv_nr_pages(const struct space *space)
{
	return (space_size(space) >> PAGE_SHIFT) - 1;
}

gfn_t pv_shared_info_frame(const struct space *space)
{
	const struct space_slot *last = space_slot(space, space_nr_slots(space) - 1);

	return gpa_gfn(gpa_add(last->start, last->size - PAGE_SIZE));
}

/* Slots follow each other in the backing file just as they do in pfns. */
gfn_t pv_frame_of_pfn(const struct space *space, u64 pfn)
{
	if (pfn >= pv_nr_pages(space))
		return (gfn_t){PV_NONE};
	for (unsigned int i = 0; i < space_nr_slots(space); i++) {
		const struct space_slot *slot = space_slot(space, i);
		u64 first = slot->offset >> PAGE_SHIFT;

		if (pfn - first < slot->size >> PAGE_SHIFT)
			return (gfn_t){gpa_gfn(slot->start).v + pfn - first};
	}
	return (gfn_t){PV_NONE};
}

u64 pv_pfn_of_frame(const struct space *space, gfn_t frame)
{
	u64 page;

	if (frame.v > UINT64_MAX >> PAGE_SHIFT ||
	    !space_page_of(space, gfn_gpa(frame), PAGE_SIZE, &page) || page >= pv_nr_pages(space))
		return PV_NONE;
	return page;
}
