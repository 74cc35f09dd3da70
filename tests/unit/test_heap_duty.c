/* SPDX-License-Identifier: MIT */
/* Windows of a share of the time, on a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/heap_duty.h"

#define MS	    UINT64_C(1000000)
#define PLACING	    (11 * MS)
#define TAKING_AWAY (43 * MS)

/* One window, `late` after it is due. Returns when its probes are gone. */
static uint64_t window(struct heap_duty *d, uint64_t late, uint64_t *count, uint64_t rate_per_ms)
{
	uint64_t now = d->due_ns + late, opened;

	assert_true(heap_duty_is_due(d, now));
	heap_duty_placing(d, now);
	now += PLACING;
	opened = now;
	heap_duty_opened(d, now, *count);
	assert_false(heap_duty_is_due(d, now + HEAP_WINDOW_NS - 1));
	now = d->due_ns + late;
	assert_int_equal(now, opened + HEAP_WINDOW_NS + late);
	*count += (now - opened) / MS * rate_per_ms;
	heap_duty_closed(d, now, *count);
	now += TAKING_AWAY;
	heap_duty_gone(d, now);
	return now;
}

/* In the long run the probes are in place for just the share, the time without counting included. */
static void test_share(void **state)
{
	const uint64_t each = PLACING + HEAP_WINDOW_NS + TAKING_AWAY, start = 1000 * MS;
	struct heap_duty d;
	uint64_t count = 0, first;

	(void)state;
	assert_int_equal(heap_duty_init(&d, 0.05, start), 0);
	/* The first comes soon: within what a window alone would have for its span. */
	assert_in_range(d.due_ns, start, start + 20 * HEAP_WINDOW_NS);
	window(&d, 0, &count, 1);
	first = d.span_start_ns;
	for (int i = 0; i < 211; i++) {
		uint64_t gone = window(&d, 0, &count, 1);

		/* A window is within its span. */
		assert_true(gone <= d.span_start_ns);
	}
	assert_in_range(d.span_start_ns - first, 211 * each * 20 - 211, 211 * each * 20 + 211);
	heap_duty_release(&d);
}

/* What is counted stands for the windows, not for the time around them. */
static void test_factor(void **state)
{
	struct heap_duty d;
	uint64_t count = 17, end;
	double estimate;

	(void)state;
	assert_int_equal(heap_duty_init(&d, 0.2, 0), 0);
	for (int i = 0; i < 101; i++)
		end = window(&d, 7 * MS * (i % 2), &count, 13);
	end = d.span_start_ns;
	estimate = (double)(count - 17) * heap_duty_factor(&d, end);
	assert_true(estimate > 12.99 * (double)end / MS && estimate < 13.01 * (double)end / MS);
	assert_true(heap_duty_error(&d) >= 0 && heap_duty_error(&d) < 0.1);
	heap_duty_release(&d);
}

static void test_few(void **state)
{
	struct heap_duty d;
	uint64_t count = 0;

	(void)state;
	assert_int_equal(heap_duty_init(&d, 1, 0), 0);
	assert_true(heap_duty_factor(&d, 1000 * MS) == 0);
	assert_true(heap_duty_error(&d) < 0);
	window(&d, 0, &count, 5);
	assert_true(heap_duty_error(&d) < 0);
	heap_duty_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_factor),
		cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
