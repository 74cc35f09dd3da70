/* SPDX-License-Identifier: MIT */
/* What users write to name the probes of requests. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "request_spec.h"

#define NO REQUEST_NO_ARG

static struct request_point parse(enum request_role role, const char *text)
{
	struct request_point p;
	const char *why = NULL;

	assert_int_equal(request_point_parse(&p, role, text, &why), 0);
	return p;
}

static void refuse(enum request_role role, const char *text, const char *why_part)
{
	struct request_point p = { .returns = true };
	const char *why = NULL;

	assert_int_equal(request_point_parse(&p, role, text, &why), -EINVAL);
	assert_non_null(strstr(why, why_part));
	assert_true(p.returns); /* untouched */
}

static void names_and_arguments(void **state)
{
	struct request_point p = parse(ROLE_BEGIN, "work:begin(arg1, arg2:str)");

	(void)state;
	assert_string_equal(p.pattern, "work:begin");
	assert_int_equal(p.probe.role, ROLE_BEGIN);
	assert_int_equal(p.probe.key, 0);
	assert_int_equal(p.probe.name, 1);
	assert_int_equal(p.probe.name_kind, NAME_TEXT);
	assert_int_equal(p.probe.status, NO);
	assert_int_equal(p.probe.value, NO);
	request_point_release(&p);

	p = parse(ROLE_END, "done(arg12:key,arg3:status)");
	assert_int_equal(p.probe.key, 11);
	assert_int_equal(p.probe.status, 2);
	request_point_release(&p);

	p = parse(ROLE_BEGIN, "query(arg4:int)");
	assert_int_equal(p.probe.key, NO);
	assert_int_equal(p.probe.name_kind, NAME_NUMBER);
	request_point_release(&p);

	p = parse(ROLE_BEGIN, "libfoo.so:ns::handle(Request const&)(arg2)");
	assert_string_equal(p.pattern, "libfoo.so:ns::handle(Request const&)");
	assert_int_equal(p.probe.key, 1);
	request_point_release(&p);

	p = parse(ROLE_BEGIN, "ns::handle(Request const&)");
	assert_string_equal(p.pattern, "ns::handle(Request const&)");
	assert_int_equal(p.probe.key, NO);
	request_point_release(&p);

	p = parse(ROLE_END, "return");
	assert_true(p.returns);
	assert_null(p.pattern);
	request_point_release(&p);
}

static void bad_ones(void **state)
{
	(void)state;
	refuse(ROLE_BEGIN, "", "names no probe");
	refuse(ROLE_BEGIN, "(arg1)", "names no probe");
	refuse(ROLE_BEGIN, "p:b(arg0)", "not arg1, arg2");
	refuse(ROLE_BEGIN, "p:b(arg)", "not arg1, arg2");
	refuse(ROLE_BEGIN, "p:b(arg1x)", "not arg1, arg2");
	refuse(ROLE_BEGIN, "p:b(arg1,)", "not arg1, arg2");
	refuse(ROLE_BEGIN, "p:b(arg13)", "beyond arg12");
	refuse(ROLE_BEGIN, "p:b(arg99999999999999999999)", "beyond arg12");
	refuse(ROLE_BEGIN, "p:b(arg1:float)", "what is not key");
	refuse(ROLE_BEGIN, "p:b(arg1,arg2)", "two ids");
	refuse(ROLE_BEGIN, "p:b(arg1:str,arg2:int)", "two arguments of one use");
	refuse(ROLE_BEGIN, "p:b(arg1:status)", "only the end");
	refuse(ROLE_END, "p:e(arg1:str)", "only the beginning");
	refuse(ROLE_BEGIN, "return", "begin with");
}

static int check(const char *begin, const char *end, const char *run, const char *pause,
		 struct request_points *ret, const char **why)
{
	struct request_point p = parse(ROLE_BEGIN, begin);

	*ret = (struct request_points){ 0 };
	assert_int_equal(request_points_add(ret, &p), 0);
	p = parse(ROLE_END, end);
	assert_int_equal(request_points_add(ret, &p), 0);
	if (run) {
		p = parse(ROLE_RUN, run);
		assert_int_equal(request_points_add(ret, &p), 0);
	}
	if (pause) {
		p = parse(ROLE_PAUSE, pause);
		assert_int_equal(request_points_add(ret, &p), 0);
	}
	return request_points_check(ret, why);
}

static void points_that_go_together(void **state)
{
	struct request_points l;
	const char *why;

	(void)state;
	/* PostgreSQL: the end has no id, so that what the beginning has is its text */
	assert_int_equal(check("query__start(arg1)", "query__done", NULL, NULL, &l, &why), 0);
	assert_int_equal(l.items[0].probe.key, NO);
	assert_int_equal(l.items[0].probe.name, 0);
	assert_int_equal(l.items[0].probe.name_kind, NAME_TEXT_OR_NUMBER);
	assert_false(l.has_pieces);
	request_points_release(&l);

	assert_int_equal(check("f", "return", NULL, NULL, &l, &why), 0);
	assert_true(l.items[0].probe.nests && l.items[0].probe.is_function);
	assert_true(l.items[1].probe.nests);
	request_points_release(&l);

	assert_int_equal(check("b(arg1)", "e(arg1)", "r(arg1)", "p", &l, &why), 0);
	assert_true(l.has_pieces);
	request_points_release(&l);

	assert_int_equal(check("b(arg2)", "null", NULL, NULL, &l, &why), 0);
	assert_int_equal(l.items[0].probe.role, ROLE_STATUS);
	assert_int_equal(l.items[0].probe.name, 1);
	assert_int_equal(l.items[0].probe.key, NO);
	assert_false(l.items[0].probe.pending);
	request_points_release(&l);
	assert_int_equal(check("b", "null", NULL, NULL, &l, &why), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check("b(arg1,arg2:str)", "null", NULL, NULL, &l, &why), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check("b(arg1)", "null", "r(arg1)", "p", &l, &why), -EINVAL);
	request_points_release(&l);

	assert_int_equal(check("b", "e(arg1)", NULL, NULL, &l, &why), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check("b", "e", "r(arg1)", "p", &l, &why), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check("b(arg1)", "e(arg1)", "r", "p", &l, &why), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check("b(arg1)", "e(arg1)", "r(arg1)", NULL, &l, &why), -EINVAL);
	request_points_release(&l);
}

static int check_execute(const char *end, const char *execute, struct request_points *ret)
{
	struct request_point p = parse(ROLE_BEGIN, "b(arg1:str)");
	const char *why;

	*ret = (struct request_points){ 0 };
	assert_int_equal(request_points_add(ret, &p), 0);
	p = parse(ROLE_END, end);
	assert_int_equal(request_points_add(ret, &p), 0);
	p = parse(ROLE_EXECUTE, execute);
	assert_int_equal(request_points_add(ret, &p), 0);
	return request_points_check(ret, &why);
}

static void what_is_executed(void **state)
{
	struct request_points l;

	(void)state;
	assert_int_equal(check_execute("null", "x", &l), 0);
	assert_true(l.items[0].probe.role == ROLE_STATUS && l.items[0].probe.pending);
	request_points_release(&l);
	assert_int_equal(check_execute("null", "x(arg1)", &l), -EINVAL);
	request_points_release(&l);
	assert_int_equal(check_execute("e", "x", &l), -EINVAL);
	request_points_release(&l);
	refuse(ROLE_EXECUTE, "x(arg1:str)", "only the beginning");
	refuse(ROLE_BEGIN, "null", "begin with");
}

static void presets(void **state)
{
	struct request_points few = { 0 }, some = { 0 }, many = { 0 };

	(void)state;
	assert_int_equal(nr_request_presets, 2);
	assert_int_equal(request_preset_points(&few, &request_presets[0], REQUEST_BY_ACCOUNT), 0);
	assert_int_equal(request_preset_points(&some, &request_presets[0], REQUEST_AS_IT_HAPPENS),
			 0);
	assert_int_equal(request_preset_points(&many, &request_presets[0], REQUEST_WITH_PHASES), 0);
	assert_string_equal(few.items[0].pattern, "coworking:request__start");
	assert_true(few.has_pieces && few.has_phases && few.has_routes);
	assert_true(few.nr < some.nr && some.nr < many.nr);
	assert_true(few.by_account && !some.by_account && !many.by_account);
	request_points_release(&few);
	request_points_release(&some);
	/* Who has none is probed as it happens. */
	assert_int_equal(request_preset_points(&few, &request_presets[1], REQUEST_BY_ACCOUNT), 0);
	assert_true(few.nr == 3 && !few.by_account);
	assert_string_equal(few.items[0].pattern, "postgresql:statement__status");
	assert_true(few.items[0].probe.role == ROLE_STATUS && few.items[0].probe.pending &&
		    !few.items[0].optional);
	assert_int_equal(few.items[0].probe.name, 0);
	request_points_release(&few);
	request_points_release(&many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_arguments),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(points_that_go_together),
		cmocka_unit_test(what_is_executed),
		cmocka_unit_test(presets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
