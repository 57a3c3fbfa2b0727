// SPDX-License-Identifier: Apache-2.0
/*
 * Writes what fuzz_load starts from into a directory: a small sound image of each kind.
 *
 *	make_load_corpus tests/fuzz/corpus/load
 */
#include <stdio.h>

#include "tests/vmm/boot/kernel_image.h"

static int save(const char *dir, const char *name, struct image image)
{
	char path[4096];
	FILE *f;
	int bad;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		return 1;
	}
	bad = fwrite(image.data, image.len, 1, f) != 1;
	bad |= fclose(f) != 0;
	if (bad)
		perror(path);
	image_free(&image);
	return bad;
}

static int save_elfs(const char *dir)
{
	struct elf_recipe recipe = elf_recipe_plain();
	int bad = save(dir, "elf-plain", elf_image(&recipe));

	recipe.type = ET_DYN;
	recipe.notes = NOTES_PVH64;
	recipe.note_align = 8;
	recipe.linux = true;
	bad |= save(dir, "elf-linux", elf_image(&recipe));
	recipe.notes = NOTES_NONE;
	bad |= save(dir, "elf-no-pvh", elf_image(&recipe));
	recipe = elf_recipe_pv();
	bad |= save(dir, "elf-xen-pv", elf_image(&recipe));
	/* with a hypercall page, without INIT_P2M and MOD_START_PFN */
	elf_recipe_note(&recipe, 2, ELF_RECIPE_PV_BASE + 2 * MiB + 0x1000, 8);
	elf_recipe_note(&recipe, 15, 0, 0);
	elf_recipe_note(&recipe, 16, 0, 0);
	return bad | save(dir, "elf-xen-pv-bare", elf_image(&recipe));
}

static int save_bzimages(const char *dir)
{
	static const char *const names[NR_PACKINGS] = {"bzimage-lz4", "bzimage-gzip",
						       "bzimage-zstd", "bzimage-xz"};
	struct elf_recipe elf = elf_recipe_plain();
	struct image kernel = elf_image(&elf);
	int bad = 0;

	for (enum packing p = 0; p < NR_PACKINGS; p++) {
		struct bzimage_recipe recipe = bzimage_recipe_plain(p);

		bad |= save(dir, names[p], bzimage_image(&recipe, &kernel));
	}
	image_free(&kernel);
	return bad;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	return save_elfs(argv[1]) | save_bzimages(argv[1]);
}
