/* SPDX-License-Identifier: MIT */
/* pprof files as `go tool pprof` reads them, and field by field as protobuf-c does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>
#include <cmocka.h>

#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "profile.pb-c.h"
#include "profile_fixture.h"

static void assert_has(const struct strbuf *text, const char *part)
{
	if (!strstr(strbuf_str(text), part))
		fail_msg("no \"%s\" in:\n%s", part, strbuf_str(text));
}

static Perftools__Profiles__Profile *unpack(const struct strbuf *file)
{
	Perftools__Profiles__Profile *read;
	z_stream z = { .next_in = (unsigned char *)file->data, .avail_in = (uInt)file->len };
	size_t size = 64 << 20;
	unsigned char *plain = malloc(size);

	assert_non_null(plain);
	z.next_out = plain;
	z.avail_out = (uInt)size;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	read = perftools__profiles__profile__unpack(NULL, z.total_out, plain);
	assert_non_null(read);
	inflateEnd(&z);
	free(plain);
	return read;
}

static void assert_same_string(const struct profile *p, uint32_t want,
			       const Perftools__Profiles__Profile *read, int64_t got)
{
	assert_true(got >= 0 && (size_t)got < read->n_string_table);
	assert_string_equal(read->string_table[got], profile_str(p, want));
}

static void assert_same_sample(const struct profile *p, const struct profile_sample *s,
			       const Perftools__Profiles__Profile *read,
			       const Perftools__Profiles__Sample *got)
{
	size_t own = !!s->comm + !!s->truncated;

	assert_int_equal(got->n_value, 2);
	assert_int_equal(got->value[0], s->values[0]);
	assert_int_equal(got->value[1], s->values[1]);
	assert_int_equal(got->n_location_id, s->nr_locations);
	for (uint32_t i = 0; i < s->nr_locations; i++) {
		uint32_t index = p->stack_locations[s->first_location + i];

		assert_int_equal(got->location_id[i], index + 1);
		assert_int_equal(read->location[index]->address, p->locations[index].address);
	}
	assert_int_equal(got->n_label, own + s->nr_labels);
	for (size_t i = own; i < got->n_label; i++) {
		assert_same_string(p, p->labels[s->first_label].key, read, got->label[i]->key);
		assert_int_equal(got->label[i]->num, 4711);
	}
}

static void test_fields(void **state)
{
	struct profile *p = fixture_known();
	Perftools__Profiles__Profile *read;
	struct strbuf file;

	(void)state;
	/* Mapping i has the flag i and no other. */
	for (size_t i = 0; i < 4; i++) {
		p->mappings[i].has_functions = i == 0;
		p->mappings[i].has_filenames = i == 1;
		p->mappings[i].has_line_numbers = i == 2;
		p->mappings[i].has_inline_frames = i == 3;
	}
	fixture_write(write_pprof, p, NULL, &file);
	read = unpack(&file);
	assert_string_equal(read->string_table[0], "");
	assert_int_equal(read->n_sample_type, 2);
	assert_string_equal(read->string_table[read->sample_type[1]->type], "cpu");
	assert_string_equal(read->string_table[read->sample_type[1]->unit], "nanoseconds");
	assert_string_equal(read->string_table[read->default_sample_type], "cpu");
	assert_string_equal(read->string_table[read->period_type->unit], "nanoseconds");
	assert_int_equal(read->period, FIXTURE_PERIOD);
	assert_int_equal(read->time_nanos, 1700000000123456789);
	assert_int_equal(read->duration_nanos, 2500000000);
	assert_int_equal(read->n_comment, 2);
	assert_string_equal(read->string_table[read->comment[1]], "second remark");
	assert_int_equal(read->n_sample, p->nr_samples);
	for (size_t i = 0; i < p->nr_samples; i++)
		assert_same_sample(p, &p->samples[i], read, read->sample[i]);
	assert_int_equal(read->n_mapping, 4);
	assert_int_equal(read->mapping[2]->id, 3);
	assert_int_equal(read->mapping[2]->memory_start, 0x7f1000000000);
	assert_int_equal(read->mapping[2]->memory_limit, 0x7f1000100000);
	assert_int_equal(read->mapping[2]->file_offset, 0x1000);
	assert_string_equal(read->string_table[read->mapping[2]->filename], "/opt/libx.so");
	assert_string_equal(read->string_table[read->mapping[2]->build_id], "00007f1000000000");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(read->mapping[i]->has_functions, i == 0);
		assert_int_equal(read->mapping[i]->has_filenames, i == 1);
		assert_int_equal(read->mapping[i]->has_line_numbers, i == 2);
		assert_int_equal(read->mapping[i]->has_inline_frames, i == 3);
	}
	for (size_t i = 0; i < read->n_function; i++) {
		assert_int_equal(read->function[i]->id, i + 1);
		assert_same_string(p, p->functions[i].name, read, read->function[i]->name);
		assert_same_string(p, p->functions[i].file, read, read->function[i]->filename);
	}
	perftools__profiles__profile__free_unpacked(read, NULL);
	strbuf_release(&file);
	profile_free(p);
}

/* protobuf's strings are UTF-8: all of them, by iconv's word. */
static void test_utf8(void **state)
{
	struct profile *p = fixture_hostile();
	Perftools__Profiles__Profile *read;
	struct strbuf file, strings = { 0 }, out = { 0 };

	(void)state;
	fixture_write(write_pprof, p, NULL, &file);
	read = unpack(&file);
	assert_true(read->n_string_table >= p->nr_strings);
	for (size_t i = 0; i < read->n_string_table; i++) {
		strbuf_puts(&strings, read->string_table[i]);
		strbuf_putc(&strings, '\n');
	}
	assert_int_equal(fixture_run("iconv -f UTF-8 -t UTF-8 $1", &strings, &out), 0);
	assert_string_equal(strbuf_str(&out), strbuf_str(&strings));
	perftools__profiles__profile__free_unpacked(read, NULL);
	strbuf_release(&file);
	strbuf_release(&strings);
	strbuf_release(&out);
	profile_free(p);
}

/* Twice the same bytes: no time, no order that changes from run to run. */
static void test_reproducible(void **state)
{
	struct profile *p = fixture_hostile(), *q = fixture_hostile();
	struct strbuf a, b;

	(void)state;
	fixture_write(write_pprof, p, NULL, &a);
	fixture_write(write_pprof, q, NULL, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	strbuf_release(&a);
	strbuf_release(&b);
	profile_free(p);
	profile_free(q);
}

static void test_go_reads(void **state)
{
	struct profile *p = fixture_known();
	struct strbuf file, out = { 0 };

	(void)state;
	fixture_need("go");
	fixture_write(write_pprof, p, NULL, &file);
	assert_int_equal(fixture_run(FIXTURE_PPROF("-top -nodecount=0"), &file, &out), 0);
	assert_has(&out, "Type: cpu\n");
	assert_has(&out, "Build ID: 0000000000400000\n");
	assert_has(&out, "Duration: 2.50s, Total samples = 390ms");
	assert_has(&out, "      110ms 28.21%  malloc\n");
	assert_has(&out, "      110ms 28.21%  [libx.so]\n");
	assert_has(&out, "       60ms 15.38%  helper (inline)\n");
	assert_has(&out, "      340ms 87.18%  main\n");
	assert_int_equal(fixture_run(FIXTURE_PPROF("-tags -sample_index=samples"), &file, &out), 0);
	/* pprof leaves the sample without a stack out here. */
	assert_has(&out, " tid: Total 38.0\n");
	assert_has(&out, " thread: Total 38.0\n");
	assert_has(&out, " truncated: Total 4.0\n");
	assert_has(&out, " 38.0 (  100%): 4711\n");
	assert_has(&out, " 25.0 (65.79%): prog\n");
	assert_has(&out, " 13.0 (34.21%): worker\n");
	assert_has(&out, " 4.0 (  100%): no rows\n");
	assert_int_equal(fixture_run(FIXTURE_PPROF("-comments"), &file, &out), 0);
	assert_string_equal(strbuf_str(&out), "first remark\nsecond remark\n");
	assert_int_equal(fixture_run(FIXTURE_PPROF("-raw"), &file, &out), 0);
	assert_has(&out, "helper /src/work.h:3 s=0\n             work /src/work.c:22 s=0\n");
	assert_has(&out, "[FN][FL][LN][IN]");
	strbuf_release(&file);
	strbuf_release(&out);
	profile_free(p);
}

/* What pprof makes of a hostile profile: readable, with the total of the folded file. */
static void test_go_reads_hostile(void **state)
{
	struct profile *p = fixture_hostile();
	struct strbuf file, folded, out = { 0 };
	double want, got;

	(void)state;
	fixture_need("go");
	fixture_write(write_pprof, p, NULL, &file);
	assert_int_equal(fixture_run(FIXTURE_PPROF("-raw"), &file, &out), 0);
	assert_int_equal(
		fixture_run(
			FIXTURE_PPROF(
				"-raw") " | awk '/^Locations/ {exit} "
					"/^ +[0-9]+ +[0-9]+:/ {s += $1} END {printf \"%.17g\", s}'",
			&file, &out),
		0);
	got = strtod(strbuf_str(&out), NULL);
	fixture_write(write_folded, p, NULL, &folded);
	assert_int_equal(
		fixture_run("awk '{s += $NF} END {printf \"%.17g\", s}' $1", &folded, &out), 0);
	want = strtod(strbuf_str(&out), NULL);
	assert_true(want > 9e18);
	assert_true(got == want);
	strbuf_release(&file);
	strbuf_release(&folded);
	strbuf_release(&out);
	profile_free(p);
}

static void test_empty(void **state)
{
	struct profile *p = fixture_empty(), *bare = profile_new();
	struct strbuf file, out = { 0 };

	(void)state;
	fixture_need("go");
	fixture_write(write_pprof, p, NULL, &file);
	assert_int_equal(fixture_run(FIXTURE_PPROF("-raw"), &file, &out), 0);
	assert_has(&out, "samples/count cpu/nanoseconds");
	strbuf_release(&file);
	fixture_write(write_pprof, bare, NULL, &file);
	fixture_run(FIXTURE_PPROF("-raw"), &file, &out);
	assert_has(&out, "profile has no samples"); /* and not: malformed */
	strbuf_release(&file);
	strbuf_release(&out);
	profile_free(p);
	profile_free(bare);
}

static void test_errors(void **state)
{
	struct write_options o = { .type = 0 };
	struct profile *p = fixture_known();
	Perftools__Profiles__Profile *read;
	struct strbuf file;

	(void)state;
	fixture_expect_errors(write_pprof);
	fixture_write(write_pprof, p, &o, &file);
	read = unpack(&file);
	assert_string_equal(read->string_table[read->default_sample_type], "samples");
	perftools__profiles__profile__free_unpacked(read, NULL);
	strbuf_release(&file);
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),		 cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_reproducible),	 cmocka_unit_test(test_go_reads),
		cmocka_unit_test(test_go_reads_hostile), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
