/* SPDX-License-Identifier: MIT */
#include "pictures.h"

#include <string.h>

#include "compiler.h"

/* The files of server/data/imgs, by the assembler. Compiled at the top of the source tree. */
#define EMBED(name)                                            \
	__asm__(".section .rodata\n"                           \
		"picture_" #name ":\n"                         \
		".incbin \"server/data/imgs/" #name ".png\"\n" \
		"picture_end_" #name ":\n"                     \
		".previous\n");                                \
	extern const char picture_##name[], picture_end_##name[]

EMBED(green_1);
EMBED(green_2);
EMBED(red_1);
EMBED(yellow_1);
EMBED(yellow_2);
EMBED(yellow_3);

#define PICTURE(name)                                            \
	{                                                        \
#name ".png", picture_##name, picture_end_##name \
	}

static const struct picture pictures[] = {
	PICTURE(green_1),  PICTURE(green_2),  PICTURE(red_1),
	PICTURE(yellow_1), PICTURE(yellow_2), PICTURE(yellow_3),
};

const struct picture *picture_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(pictures); i++) {
		if (strcmp(pictures[i].name, name) == 0)
			return &pictures[i];
	}
	return NULL;
}
