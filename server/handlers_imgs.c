/* SPDX-License-Identifier: MIT */
/*
 * GET /imgs/:name: the pictures of the demo rooms.
 */
#include <errno.h>

#include "handlers.h"
#include "pictures.h"

int handle_imgs_get(struct request *r)
{
	const struct picture *picture = picture_find(r->param);

	if (picture == NULL)
		return -ENOENT;
	http_send_file(r, "image/png", picture->data, (size_t)(picture->end - picture->data));
	return 0;
}
