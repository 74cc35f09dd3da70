/* SPDX-License-Identifier: MIT */
#include "stack_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TABLE_SIZE (STACK_BUCKETS * sizeof(struct stack_bucket))
#define LOG_SIZE   ((STACK_LOG_FIRST + STACK_LOG_LINES) * sizeof(struct stack_line))

union stack_record {
	struct stack_line lines[STACK_MAX_LINES];
	struct stack_event event;
};

int stack_feed_init(struct stack_feed *f, int table_fd, int log_fd)
{
	int err = 0;

	*f = (struct stack_feed){ 0 };
	f->record = malloc(sizeof(*f->record));
	if (!f->record)
		return -ENOMEM;
	f->table = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
	if (f->table == MAP_FAILED) {
		err = -errno;
		f->table = NULL;
	}
	f->log = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	if (f->log == MAP_FAILED) {
		err = -errno;
		f->log = NULL;
	}
	if (err)
		stack_feed_release(f);
	return err;
}

void stack_feed_release(struct stack_feed *f)
{
	if (f->table)
		munmap(f->table, TABLE_SIZE);
	if (f->log)
		munmap(f->log, LOG_SIZE);
	free(f->record);
	*f = (struct stack_feed){ 0 };
}

static struct stack_line *line_at(const struct stack_feed *f, uint64_t n)
{
	return &f->log[STACK_LOG_FIRST + n % STACK_LOG_LINES];
}

/* Copy the next record to f->record. Returns its lines, 0 when it is not there yet. */
static uint32_t take_record(struct stack_feed *f)
{
	struct stack_line *line = line_at(f, f->read), *to = f->record->lines;
	uint32_t n;

	to->word[0] = __atomic_load_n(&line->word[0], __ATOMIC_ACQUIRE);
	if (!to->word[0])
		return 0;
	memcpy(&to->word[1], &line->word[1], sizeof(*to) - sizeof(to->word[0]));
	n = f->record->event.nr_frames;
	n = n <= STACK_MAX_FRAMES ? STACK_RECORD_LINES(n) : 1;
	for (uint32_t i = 1; i < n; i++)
		to[i] = *line_at(f, f->read + i);
	for (uint32_t i = 0; i < n; i++)
		line_at(f, f->read + i)->word[0] = 0;
	f->read += n;
	/* What programs reserve after this is empty. */
	__atomic_store_n(&f->log[STACK_LOG_READ].word[0], f->read, __ATOMIC_RELEASE);
	return n;
}

int stack_feed_read(struct stack_feed *f, struct stacks *s, uint64_t *nr)
{
	uint32_t n;
	int err;

	while ((n = take_record(f))) {
		err = stacks_event(s, &f->record->event, n * sizeof(struct stack_line));
		if (err == -ENOMEM)
			return err;
		++*nr;
	}
	return 0;
}

uint64_t stack_feed_counts(struct stack_feed *f, struct stacks *s)
{
	uint64_t unmatched = 0;

	for (size_t i = 0; i < STACK_BUCKETS; i++)
		for (size_t j = 0; j < STACK_WAYS; j++) {
			const struct stack_slot *slot = &f->table[i].way[j];

			if (slot->key && stacks_count(s, slot->key, slot->count))
				unmatched += slot->count;
		}
	stack_feed_forget(f);
	return unmatched;
}

void stack_feed_forget(struct stack_feed *f)
{
	memset(f->table, 0, TABLE_SIZE);
}
