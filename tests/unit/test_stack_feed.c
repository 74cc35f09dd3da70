/* SPDX-License-Identifier: MIT */
/*
 * The log and the table that BPF programs write, here written by a model of them into memory that
 * both sides have mapped, as there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stack_feed.h"

#define TABLE_SIZE (STACK_BUCKETS * sizeof(struct stack_bucket))
#define LOG_SIZE   ((STACK_LOG_FIRST + STACK_LOG_LINES) * sizeof(struct stack_line))
#define NR_KEYS	   (STACK_MAX_KEYS / 2 + 4096) /* somewhat more than it ever holds */

struct side {
	struct stack_bucket *table;
	struct stack_line *log;
	struct stack_feed feed;
	struct stacks stacks;
};

static void *shared(size_t size, int *ret_fd)
{
	void *p;

	*ret_fd = memfd_create("map", 0);
	assert_true(*ret_fd >= 0);
	assert_int_equal(ftruncate(*ret_fd, size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static void begin(struct side *s)
{
	int table_fd, log_fd;

	s->table = shared(TABLE_SIZE, &table_fd);
	s->log = shared(LOG_SIZE, &log_fd);
	stacks_init(&s->stacks);
	assert_int_equal(stack_feed_init(&s->feed, table_fd, log_fd), 0);
	close(table_fd);
	close(log_fd);
}

static void end(struct side *s)
{
	stack_feed_release(&s->feed);
	stacks_release(&s->stacks);
	munmap(s->table, TABLE_SIZE);
	munmap(s->log, LOG_SIZE);
}

static uint64_t frame(uint64_t hash, uint32_t i)
{
	return hash * 7 + i;
}

/* What stack_send() does, but for the first word. Returns where that goes, and what. */
static __u64 *write_record(struct side *s, uint64_t hash, uint32_t tid, uint32_t nr_frames,
			   uint64_t *ret_word)
{
	static struct {
		struct stack_event e;
		uint64_t rounding[2];
	} buffer;
	uint64_t at = s->log[STACK_LOG_GIVEN].word[0], n = STACK_RECORD_LINES(nr_frames);
	const struct stack_line *from = (struct stack_line *)&buffer;
	struct stack_line *first = &s->log[STACK_LOG_FIRST + at % STACK_LOG_LINES];

	assert_true(at + n - s->log[STACK_LOG_READ].word[0] <= STACK_LOG_LINES);
	s->log[STACK_LOG_GIVEN].word[0] = at + n;
	memset(&buffer, 0xee, sizeof(buffer));
	buffer.e = (struct stack_event){ .header = { EVENT_STACK, 100, hash },
					 .tid = tid,
					 .nr_frames = nr_frames,
					 .end = 1,
					 .comm = "worker" };
	for (uint32_t i = 0; i < nr_frames; i++)
		buffer.e.frames[i] = frame(hash, i);
	memcpy(&first->word[1], &from->word[1], sizeof(*first) - 8);
	for (uint64_t i = 1; i < n; i++)
		s->log[STACK_LOG_FIRST + (at + i) % STACK_LOG_LINES] = from[i];
	*ret_word = from->word[0];
	return &first->word[0];
}

static void send(struct side *s, uint64_t hash, uint32_t tid, uint32_t nr_frames)
{
	uint64_t word;
	__u64 *at = write_record(s, hash, tid, nr_frames, &word);

	/* Nobody may begin where another has not been read. */
	assert_int_equal(*at, 0);
	*at = word;
}

static void assert_stack(const struct side *s, uint64_t hash, uint32_t nr_frames)
{
	ssize_t i = stacks_find(&s->stacks, hash);
	const struct stack *st = &s->stacks.items[i];

	assert_true(i >= 0);
	assert_int_equal(st->nr_frames, nr_frames);
	assert_string_equal(st->comm, "worker");
	for (uint32_t f = 0; f < nr_frames; f++)
		assert_int_equal(s->stacks.frames[st->first_frame + f], frame(hash, f));
}

/* Every length, around the ring several times, in batches of different sizes. */
static void test_every_length(void **state)
{
	uint64_t hash = 1, nr = 0, lines = 0;
	struct side s;

	(void)state;
	begin(&s);
	while (lines < 3 * STACK_LOG_LINES) {
		for (uint64_t batch = hash % 1009; batch; batch--, hash += 2) {
			send(&s, hash, 7, hash / 2 % (STACK_MAX_FRAMES + 1));
			lines += STACK_RECORD_LINES(hash / 2 % (STACK_MAX_FRAMES + 1));
		}
		assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
		hash += 2;
		send(&s, hash, 7, hash / 2 % (STACK_MAX_FRAMES + 1));
		hash += 2;
	}
	assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
	assert_int_equal(nr, s.stacks.nr);
	assert_int_equal(s.log[STACK_LOG_READ].word[0], s.log[STACK_LOG_GIVEN].word[0]);
	for (size_t i = 0; i < s.stacks.nr; i++) {
		uint64_t h = s.stacks.items[i].hash;

		assert_stack(&s, h, h / 2 % (STACK_MAX_FRAMES + 1));
	}
	for (size_t i = 0; i < STACK_LOG_LINES; i++)
		assert_int_equal(s.log[STACK_LOG_FIRST + i].word[0], 0);
	end(&s);
}

static void test_record_that_is_being_written(void **state)
{
	uint64_t nr = 0, word;
	__u64 *at;
	struct side s;

	(void)state;
	begin(&s);
	send(&s, 3, 1, 5);
	at = write_record(&s, 5, 1, 9, &word);
	send(&s, 7, 1, 30);
	assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
	assert_int_equal(nr, 1);
	assert_stack(&s, 3, 5);
	*at = word;
	assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
	assert_int_equal(nr, 3);
	assert_stack(&s, 5, 9);
	assert_stack(&s, 7, 30);
	end(&s);
}

/* A length that no record has: it is passed over, and what is read stays inside the log. */
static void test_bad_length(void **state)
{
	uint64_t nr = 0, word;
	__u64 *at;
	struct side s;

	(void)state;
	begin(&s);
	at = write_record(&s, 3, 1, 2, &word);
	((struct stack_event *)at)->nr_frames = 0xffff;
	*at = word;
	send(&s, 5, 1, 3);
	assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
	assert_true(stacks_find(&s.stacks, 3) < 0);
	assert_stack(&s, 5, 3);
	end(&s);
}

/* What stack_add() does. Returns false when the key finds no place. */
static bool add(struct side *s, uint64_t key, uint64_t n)
{
	for (uint32_t look = 0; look < STACK_LOOKS; look++) {
		struct stack_bucket *b = &s->table[stack_bucket(key, look)];

		for (int i = 0; i < STACK_WAYS; i++) {
			if (b->way[i].key && b->way[i].key != key)
				continue;
			b->way[i].key = key;
			b->way[i].count += n;
			return true;
		}
	}
	return false;
}

static struct stack_key key_of(uint64_t i)
{
	return (struct stack_key){ (i % 101 + 1) * 0x9e3779b97f4a7c15ULL | 1, 100, 1000 + i / 101 };
}

/* The looks at a key: inside the table, a level each, then the neighbours on the last. */
static void test_buckets(void **state)
{
	static const uint32_t first[] = { 0, STACK_NEAR, STACK_NEAR * 9, STACK_BUCKETS };

	(void)state;
	for (uint64_t i = 0; i < 10007; i++) {
		uint64_t key = i ? stack_key_hash(key_of(i)) : UINT64_MAX;

		for (uint32_t level = 0; level < STACK_LEVELS; level++)
			assert_in_range(stack_bucket(key, level), first[level],
					first[level + 1] - 1);
		for (uint32_t n = STACK_LEVELS; n < STACK_LOOKS; n++)
			assert_int_equal(stack_bucket(key, n), stack_bucket(key, STACK_LEVELS - 1) ^
								       (n - STACK_LEVELS + 1));
	}
	for (uint32_t level = 0; level < STACK_LEVELS; level++) {
		assert_int_equal(stack_bucket(0, level), first[level]);
		assert_int_equal(stack_bucket(UINT64_MAX, level), first[level + 1] - 1);
	}
}

/* As many keys as there are before the table is emptied, three times each: none is without a place, every count is right. */
static void test_counts(void **state)
{
	uint64_t nr = 0, sum = 0;
	struct side s;

	(void)state;
	begin(&s);
	for (uint64_t i = 0; i < NR_KEYS; i++) {
		struct stack_key k = key_of(i);

		send(&s, k.stack, k.tid, 3);
		if (i % 9973 == 0)
			assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
		for (uint64_t round = 1; round <= 3; round++)
			assert_true(add(&s, stack_key_hash(k), round * i));
	}
	assert_int_equal(stack_feed_read(&s.feed, &s.stacks, &nr), 0);
	assert_int_equal(nr, NR_KEYS);
	assert_int_equal(stack_feed_counts(&s.feed, &s.stacks), 0);
	assert_int_equal(s.stacks.nr, 101);
	assert_int_equal(s.stacks.nr_counts, NR_KEYS);
	for (size_t i = 0; i < s.stacks.nr_counts; i++) {
		assert_int_equal(s.stacks.counts[i].count, 6 * i);
		sum += s.stacks.counts[i].count;
	}
	assert_int_equal(sum, 3 * (uint64_t)NR_KEYS * (NR_KEYS - 1));
	/* The table is empty: what comes now adds up, and what nobody has announced is told. */
	assert_true(add(&s, stack_key_hash(key_of(17)), 5));
	assert_true(add(&s, 4711, 1000));
	assert_int_equal(stack_feed_counts(&s.feed, &s.stacks), 1000);
	assert_int_equal(s.stacks.counts[17].count, 6 * 17 + 5);
	end(&s);
}

/* Beyond that, of tools that never empty it, hardly one. */
static void test_full_table(void **state)
{
	size_t homeless = 0;
	struct side s;

	(void)state;
	begin(&s);
	for (uint64_t i = 0; i < STACK_MAX_KEYS; i++)
		homeless += !add(&s, stack_key_hash(key_of(i)), 1);
	assert_in_range(homeless, 0, STACK_MAX_KEYS / 2000);
	end(&s);
}

static void test_forgetting(void **state)
{
	struct side s;

	(void)state;
	begin(&s);
	assert_true(add(&s, 99, 0));
	stack_feed_forget(&s.feed);
	for (size_t i = 0; i < STACK_BUCKETS; i++)
		for (size_t j = 0; j < STACK_WAYS; j++)
			assert_int_equal(s.table[i].way[j].key, 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_record_that_is_being_written),
		cmocka_unit_test(test_bad_length),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_forgetting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
