/* SPDX-License-Identifier: MIT */
/*
 * What a new database starts with. Included by seed.c alone.
 */
#ifndef COWORKING_DATA_SEED_H
#define COWORKING_DATA_SEED_H

struct seed_user {
	const char *id, *email, *username, *password;
};

struct seed_room {
	const char *id, *name, *category;
	double cost;
	int seats;
	const char *photos[4]; /* the first is the main photo; NULL ends the list */
};

static const struct seed_user seed_users[] = {
	{
		.id = "5b0f7c7e-6d0a-4c43-9a3e-2f6a1d9c4e10",
		.email = "demo@example.org",
		.username = "demo",
		.password = "demo",
	},
};

static const struct seed_room seed_rooms[] = {
	{
		.id = "0d5c1f3a-8f0e-4b57-9c3d-6a1be2f4a001",
		.name = "Green",
		.category = "open space",
		.cost = 25,
		.seats = 4,
		.photos = { "/imgs/green_1.png", "/imgs/green_2.png" },
	},
	{
		.id = "0d5c1f3a-8f0e-4b57-9c3d-6a1be2f4a002",
		.name = "Red",
		.category = "conference hall",
		.cost = 250,
		.seats = 50,
		.photos = { "/imgs/red_1.png" },
	},
	{
		.id = "0d5c1f3a-8f0e-4b57-9c3d-6a1be2f4a003",
		.name = "Yellow",
		.category = "shared desk",
		.cost = 12.5,
		.seats = 1,
		.photos = { "/imgs/yellow_1.png", "/imgs/yellow_2.png", "/imgs/yellow_3.png" },
	},
};

#endif
