/* SPDX-License-Identifier: MIT */
#ifndef COWORKING_SEED_H
#define COWORKING_SEED_H

#include "db.h"

/*
 * Fills a database that has neither users nor rooms with those of data/seed.h, all or none of
 * them. Any other database is left as it is. 0 or a negative errno.
 */
int seed_database(struct db *db);

#endif
