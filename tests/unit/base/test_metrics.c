/* tests/unit/base/test_metrics.c - Prometheus text: families, escapes, histograms that add up. */
#include "base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/base/death.h"

static void assert_text(const char *expected)
{
	size_t size;
	char *text = metrics_text(&size);

	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(text));
	free(text);
}

static void test_nothing_registered(void **state)
{
	assert_text("");
}

static void test_a_family_has_one_head_wherever_its_members_register(void **state)
{
	static struct metric sold = {
		.kind = METRIC_COUNTER, .name = "holds_total", .help = "Holds.", .labels = "result=\"sold\""};
	static struct metric lost = {
		.kind = METRIC_COUNTER, .name = "holds_total", .help = "Holds.", .labels = "result=\"lost\""};
	static struct metric level = {.kind = METRIC_GAUGE, .name = "a_level", .help = "Level."};
	static struct metric later = {.kind = METRIC_GAUGE, .name = "z_level", .help = "Level."};

	metrics_register(&later);
	metrics_register(&sold);
	metrics_register(&level);
	metrics_register(&lost);
	metrics_register(&lost);
	metric_add(&sold, 3);
	metric_add(&sold, 2);
	metric_set(&level, -7);
	assert_text("# HELP a_level Level.\n# TYPE a_level gauge\na_level -7\n"
		    "# HELP holds_total Holds.\n# TYPE holds_total counter\n"
		    "holds_total{result=\"sold\"} 5\nholds_total{result=\"lost\"} 0\n"
		    "# HELP z_level Level.\n# TYPE z_level gauge\nz_level 0\n");
	metrics_unregister(&sold);
	metrics_unregister(&sold);
	assert_text("# HELP a_level Level.\n# TYPE a_level gauge\na_level -7\n"
		    "# HELP holds_total Holds.\n# TYPE holds_total counter\nholds_total{result=\"lost\"} 0\n"
		    "# HELP z_level Level.\n# TYPE z_level gauge\nz_level 0\n");
	metrics_unregister(&lost);
	metrics_unregister(&level);
	metrics_unregister(&later);
	assert_text("");
}

static int64_t twice(void *context)
{
	return 2 * *(int *)context;
}

static void test_a_gauge_may_be_computed(void **state)
{
	int number = 21;
	struct metric metric = {
		.kind = METRIC_GAUGE, .name = "m", .help = "h", .read = twice, .context = &number};

	metrics_register(&metric);
	assert_text("# HELP m h\n# TYPE m gauge\nm 42\n");
	number = 4;
	assert_text("# HELP m h\n# TYPE m gauge\nm 8\n");
	metrics_unregister(&metric);
}

static int64_t read_ms(void *context)
{
	return 250;
}

static void test_a_gauge_has_a_scale_too(void **state)
{
	static struct metric set = {.kind = METRIC_GAUGE, .name = "a_seconds", .help = "A.", .scale = 1e-3};
	static struct metric computed = {
		.kind = METRIC_GAUGE, .name = "b_seconds", .help = "B.", .scale = 1e-3, .read = read_ms};

	metrics_register(&set);
	metrics_register(&computed);
	metric_set(&set, -1500);
	assert_text("# HELP a_seconds A.\n# TYPE a_seconds gauge\na_seconds -1.5\n"
		    "# HELP b_seconds B.\n# TYPE b_seconds gauge\nb_seconds 0.25\n");
	metrics_unregister(&set);
	metrics_unregister(&computed);
}

static void test_escapes(void **state)
{
	char *label = metrics_label("path", "a\\b\"c\nd{e}");
	struct metric metric = {
		.kind = METRIC_COUNTER, .name = "m", .help = "a\\b\"c\nm 99", .labels = label};

	assert_string_equal(label, "path=\"a\\\\b\\\"c\\nd{e}\"");
	metrics_register(&metric);
	assert_text("# HELP m a\\\\b\"c\\nm 99\n# TYPE m counter\nm{path=\"a\\\\b\\\"c\\nd{e}\"} 0\n");
	metrics_unregister(&metric);
	free(label);
}

static void test_a_histogram_accumulates(void **state)
{
	static const double bounds[] = {1, 2.5, 10, 0};
	struct metric metric = {.kind = METRIC_HISTOGRAM, .name = "h", .help = "x", .bounds = bounds};

	metrics_register(&metric);
	metric_observe(&metric, 1); /* on a bound: belongs below it */
	metric_observe(&metric, 2);
	metric_observe(&metric, 2);
	metric_observe(&metric, 10);
	metric_observe(&metric, 11);
	metric_observe(&metric, 1000);
	assert_text("# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2.5\"} 3\n"
		    "h_bucket{le=\"10\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_sum 1026\nh_count 6\n");
	metrics_unregister(&metric);
}

static void test_a_histogram_s_scale_and_labels(void **state)
{
	static const double bounds[] = {0.0001, 0.5, 0};
	struct metric metric = {.kind = METRIC_HISTOGRAM,
		.name = "h_seconds",
		.help = "x",
		.labels = "writer=\"w\"",
		.bounds = bounds,
		.scale = 1e-9};

	metrics_register(&metric);
	metric_observe(&metric, 100000);    /* 100 us */
	metric_observe(&metric, 250000000); /* 250 ms */
	assert_text("# HELP h_seconds x\n# TYPE h_seconds histogram\n"
		    "h_seconds_bucket{writer=\"w\",le=\"0.0001\"} "
		    "1\nh_seconds_bucket{writer=\"w\",le=\"0.5\"} 2\n"
		    "h_seconds_bucket{writer=\"w\",le=\"+Inf\"} 2\nh_seconds_sum{writer=\"w\"} 0.2501\n"
		    "h_seconds_count{writer=\"w\"} 2\n");
	metrics_unregister(&metric);
}

static void test_the_ready_bounds_are_usable(void **state)
{
	struct metric seconds = {
		.kind = METRIC_HISTOGRAM, .name = "a", .help = "x", .bounds = metric_bounds_seconds};
	struct metric items = {
		.kind = METRIC_HISTOGRAM, .name = "b", .help = "x", .bounds = metric_bounds_items};
	char *text;

	metrics_register(&seconds);
	metrics_register(&items);
	metric_observe(&items, 4096);
	metric_observe(&items, INT64_MAX);
	metric_observe(&items, 0);
	text = metrics_text(&(size_t){0});
	assert_non_null(strstr(text, "a_bucket{le=\"0.00025\"} 0\n"));
	assert_non_null(strstr(text, "a_bucket{le=\"10\"} 0\na_bucket{le=\"+Inf\"} 0\n"));
	assert_non_null(strstr(text, "b_bucket{le=\"1\"} 1\n"));
	assert_non_null(strstr(text, "b_bucket{le=\"4096\"} 2\nb_bucket{le=\"+Inf\"} 3\n"));
	free(text);
	metrics_unregister(&seconds);
	metrics_unregister(&items);
}

static double too_many[METRIC_BUCKETS_MAX + 2];

static void register_bad_name(void)
{
	metrics_register(&(struct metric){.kind = METRIC_COUNTER, .name = "a b", .help = "x"});
}

static void register_two_equal(void)
{
	metrics_register(&(struct metric){.kind = METRIC_COUNTER, .name = "a", .help = "x", .labels = ""});
	metrics_register(&(struct metric){.kind = METRIC_COUNTER, .name = "a", .help = "x"});
}

static void register_two_kinds(void)
{
	metrics_register(
		&(struct metric){.kind = METRIC_COUNTER, .name = "a", .help = "x", .labels = "k=\"1\""});
	metrics_register(
		&(struct metric){.kind = METRIC_GAUGE, .name = "a", .help = "x", .labels = "k=\"2\""});
}

static void register_too_many_bounds(void)
{
	for (int i = 0; i <= METRIC_BUCKETS_MAX; i++)
		too_many[i] = i + 1;
	metrics_register(
		&(struct metric){.kind = METRIC_HISTOGRAM, .name = "a", .help = "x", .bounds = too_many});
}

static void register_as_many_as_there_may_be(void)
{
	static struct metric metric = {
		.kind = METRIC_HISTOGRAM, .name = "a", .help = "x", .bounds = too_many};

	for (int i = 0; i < METRIC_BUCKETS_MAX; i++)
		too_many[i] = i + 1;
	metrics_register(&metric);
	metric_observe(&metric, 1000000);
	free(metrics_text(&(size_t){0}));
}

static void test_mistakes_end_the_process(void **state)
{
	assert_true(dies(register_bad_name));
	assert_true(dies(register_two_equal));
	assert_true(dies(register_two_kinds));
	assert_true(dies(register_too_many_bounds));
	assert_false(dies(register_as_many_as_there_may_be));
}

#define THREADS 4
#define ADDS 20000

static struct metric shared = {.kind = METRIC_COUNTER, .name = "shared_total", .help = "x"};
static struct metric shared_histogram = {
	.kind = METRIC_HISTOGRAM, .name = "shared_items", .help = "x", .bounds = metric_bounds_items};

static void *add_often(void *unused)
{
	metrics_register(&shared);
	metrics_register(&shared_histogram);
	for (int i = 0; i < ADDS; i++) {
		metric_add(&shared, 1);
		metric_observe(&shared_histogram, i % 8);
	}
	return NULL;
}

static void test_threads_lose_nothing(void **state)
{
	pthread_t threads[THREADS];
	char *text;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_often, NULL), 0);
	for (int i = 0; i < 50; i++)
		free(metrics_text(&(size_t){0}));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = metrics_text(&(size_t){0});
	assert_non_null(strstr(text, "\nshared_total 80000\n"));
	assert_non_null(strstr(text, "\nshared_items_count 80000\n"));
	assert_non_null(strstr(text, "\nshared_items_sum 280000\n"));
	free(text);
	metrics_unregister(&shared);
	metrics_unregister(&shared_histogram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_registered),
		cmocka_unit_test(test_a_family_has_one_head_wherever_its_members_register),
		cmocka_unit_test(test_a_gauge_may_be_computed),
		cmocka_unit_test(test_a_gauge_has_a_scale_too),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_a_histogram_accumulates),
		cmocka_unit_test(test_a_histogram_s_scale_and_labels),
		cmocka_unit_test(test_the_ready_bounds_are_usable),
		cmocka_unit_test(test_mistakes_end_the_process),
		cmocka_unit_test(test_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
