// SPDX-License-Identifier: Apache-2.0
/*
 * Page contents. All kinds but zeros depend on the generation, so a lost write shows; all but zeros
 * and duplicates depend on the number, so a page in the wrong place shows.
 *
 *   ordinary, duplicate:
 *   word 0      1        2                 3          4 ........ r        r ........ 511
 *        magic  number   generation, seed  checksum   random words        one word, repeated
 *
 * The checksum makes checking independent of how the payload was made: it runs over all words but
 * its own, so that nothing needs to be generated again to check a page. It is four interleaved
 * chains of (x ^ word) * odd, each a bijection in every word: a change of any one word always
 * shows, and the multiplier's latency is hidden.
 */
#include "guest/work/page.h"
#include "guest/work/random.h"

#define FIRST_PAYLOAD (sizeof(struct guest_page_header) / sizeof(uint64_t))
#define PAYLOAD_WORDS (PAGE_WORDS - FIRST_PAYLOAD)

_Static_assert(PAYLOAD_WORDS % 4 == 0, "the checksum takes four words at a time");
_Static_assert(sizeof(union page) == GUEST_PAGE_SIZE, "a page is a page");

enum page_kind page_kind(const struct work_options *options, uint64_t number)
{
	uint64_t roll;

	if (!(options->zero | options->same | options->dup))
		return PAGE_ORDINARY;
	roll = random_of(options->seed, number) % 100;
	if (roll < options->zero)
		return PAGE_ZERO;
	if (roll < options->zero + options->same)
		return PAGE_SAME;
	if (roll < options->zero + options->same + options->dup)
		return PAGE_DUP;
	return PAGE_ORDINARY;
}

/* The number that random words of the page start from; also the word of a same-filled page. */
static uint64_t page_key(const struct work_options *options, struct page_id id)
{
	return random_of(random_of(options->seed, id.generation), id.number);
}

/* The number in a page's header: its own, or that of its class if it is a duplicate. */
static uint64_t header_number(const struct work_options *options, uint64_t number)
{
	if (page_kind(options, number) != PAGE_DUP)
		return number;
	return GUEST_PAGE_DUP | (random_mix(options->seed ^ number) % GUEST_DUP_CLASSES);
}

static uint64_t page_checksum(const union page *page)
{
	const uint64_t prime = 0x9fb21c651e98df25u;
	const uint64_t *words = page->words;
	uint64_t a = words[0];
	uint64_t b = words[1];
	uint64_t c = words[2];
	uint64_t d = prime;

	for (unsigned int i = FIRST_PAYLOAD; i < PAGE_WORDS; i += 4) {
		a = (a ^ words[i]) * prime;
		b = (b ^ words[i + 1]) * prime;
		c = (c ^ words[i + 2]) * prime;
		d = (d ^ words[i + 3]) * prime;
	}
	return random_mix(random_mix(random_mix(a) + b) + c) + d;
}

static void fill_words(union page *page, unsigned int first, uint64_t word)
{
	for (unsigned int i = first; i < PAGE_WORDS; i++)
		page->words[i] = word;
}

/*
 * The header's checksum is stored last, over what is then in memory: the page is whole from there
 * on.
 */
static void write_described(union page *page, const struct work_options *options, struct page_id id)
{
	unsigned int end = (unsigned int)(FIRST_PAYLOAD + options->random * PAYLOAD_WORDS / 100);
	uint64_t state = page_key(options, id);

	page->header = (struct guest_page_header){
		.magic = GUEST_PAGE_MAGIC,
		.number = id.number,
		.generation = id.generation,
		.seed = (uint32_t)options->seed,
	};
	fill_words(page, end, state);
	for (unsigned int i = FIRST_PAYLOAD; i < end; i++)
		page->words[i] = random_next(&state);
	page->header.checksum = page_checksum(page);
}

void page_write(union page *page, const struct work_options *options, struct page_id id)
{
	switch (page_kind(options, id.number)) {
	case PAGE_ZERO:
		fill_words(page, 0, 0);
		break;
	case PAGE_SAME:
		fill_words(page, 0, page_key(options, id));
		break;
	case PAGE_DUP:
	case PAGE_ORDINARY:
		id.number = header_number(options, id.number);
		write_described(page, options, id);
		break;
	}
}

bool page_is_filled(const union page *page, uint64_t word)
{
	uint64_t difference = 0;

	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		difference |= page->words[i] ^ word;
	return !difference;
}

/* Whether @page is whole by its own account, whoever's it is. */
static bool is_described(const union page *page)
{
	return page->header.magic == GUEST_PAGE_MAGIC &&
	       page->header.checksum == page_checksum(page);
}

bool page_check(const union page *page, const struct work_options *options, struct page_id id)
{
	const struct guest_page_header *header = &page->header;

	switch (page_kind(options, id.number)) {
	case PAGE_ZERO:
		return page_is_filled(page, 0);
	case PAGE_SAME:
		return page_is_filled(page, page_key(options, id));
	case PAGE_DUP:
	case PAGE_ORDINARY:
		break;
	}
	return header->number == header_number(options, id.number) &&
	       header->generation == id.generation && header->seed == options->seed &&
	       is_described(page);
}

/* Reads each word once: the page may change under it, and the two values told must differ. */
void page_compare(const union page *page, const union page *wanted, struct page_finding *finding)
{
	const volatile uint64_t *words = page->words;

	for (unsigned int i = 0; i < PAGE_WORDS; i++) {
		uint64_t seen = words[i];
		uint64_t difference = seen ^ wanted->words[i];

		if (!difference)
			continue;
		finding->fault = PAGE_CORRUPT;
		finding->offset = 8 * i + (unsigned int)__builtin_ctzll(difference) / 8;
		finding->expected = wanted->words[i];
		finding->seen = seen;
		return;
	}
	finding->fault = PAGE_RIGHT;
}

/* A same-filled page has no header: try whether it is of the generation before. */
static bool is_stale_same(const union page *page, const struct work_options *options,
			  struct page_id id)
{
	id.generation--;
	return page_kind(options, id.number) == PAGE_SAME &&
	       page_is_filled(page, page_key(options, id));
}

void page_examine(const union page *page, const struct work_options *options, struct page_id id,
		  union page *scratch, struct page_finding *finding)
{
	const struct guest_page_header *header = &page->header;

	page_write(scratch, options, id);
	*finding = (struct page_finding){.found = {id.number, id.generation - 1}};
	if (is_described(page)) {
		finding->found = (struct page_id){header->number, header->generation};
		if (header->number != header_number(options, id.number) ||
		    header->seed != options->seed)
			finding->fault = PAGE_FOREIGN;
		else if (header->generation < id.generation)
			finding->fault = PAGE_STALE;
		else if (header->generation > id.generation)
			finding->fault = PAGE_EARLY;
		else
			page_compare(page, scratch, finding);
	} else if (is_stale_same(page, options, id)) {
		finding->fault = PAGE_STALE;
	} else if (page_is_filled(page, 0)) {
		finding->fault = PAGE_LOST;
	} else {
		page_compare(page, scratch, finding);
	}
}
