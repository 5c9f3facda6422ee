/* What clients and servers count of a hop: ages of queues and streams, items by what they came to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/process_metrics.h"
#include "rpc/client_metrics.h"
#include "rpc/counters.h"
#include "rpc/reason.h"
#include "rpc/stream_metrics.h"

#define SECOND_NS INT64_C(1000000000)

/* The value of a series; -1: it is not shown. */
static double shown(const char *series)
{
	char *text = metrics_text(NULL), *at = text;
	const size_t length = strlen(series);
	double value = -1;

	while (at && value < 0) {
		if (!strncmp(at, series, length) && at[length] == ' ')
			value = atof(at + length);
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	free(text);
	return value;
}

static void test_the_oldest_queue_counts(void **state)
{
	static const char series[] = "flashsale_client_queue_age_seconds{service=\"aged\"}";
	struct client_metrics *metrics = client_metrics_of("aged");
	_Atomic int64_t *one = client_metrics_take_queue(metrics),
			*other = client_metrics_take_queue(metrics);

	assert_ptr_not_equal(one, other);
	assert_true(shown(series) == 0);
	atomic_store(one, clock_mono_ns() - 3 * SECOND_NS);
	atomic_store(other, clock_mono_ns() - 7 * SECOND_NS);
	assert_true(shown(series) >= 7 && shown(series) < 60);
	atomic_store(other, 0);
	assert_true(shown(series) >= 3 && shown(series) < 7);
	client_metrics_give_queue(metrics, one);
	assert_true(shown(series) == 0);
	client_metrics_give_queue(metrics, other);
}

static void test_more_queues_than_are_counted(void **state)
{
	struct client_metrics *metrics = client_metrics_of("many");
	_Atomic int64_t *queues[CLIENT_QUEUES_MAX];

	for (int i = 0; i < CLIENT_QUEUES_MAX; i++)
		assert_non_null(queues[i] = client_metrics_take_queue(metrics));
	assert_null(client_metrics_take_queue(metrics));
	client_metrics_give_queue(metrics, NULL);
	client_metrics_give_queue(metrics, queues[5]);
	assert_ptr_equal(client_metrics_take_queue(metrics), queues[5]);
}

static void test_streams_age_until_they_are_heard(void **state)
{
	static const char series[] = "flashsale_client_stream_age_seconds{service=\"inventory\",method="
				     "\"WatchStock\",shard=\"3\"}";
	struct stream_metrics *one = stream_metrics_get("inventory", "WatchStock", 3);
	struct stream_metrics *same = stream_metrics_get("inventory", "WatchStock", 3);
	struct stream_metrics *any = stream_metrics_get("policy", "WatchPolicies", -1);
	double age;

	assert_ptr_equal(one, same);
	assert_true(shown("flashsale_client_stream_age_seconds{service=\"policy\",method=\"WatchPolicies\","
			  "shard=\"any\"}") >= 0);
	do
		age = shown(series);
	while (age < 0.02);
	stream_metrics_heard(one);
	assert_true(shown(series) < age);
	stream_metrics_put(one);
	assert_true(shown(series) >= 0);
	stream_metrics_put(same);
	assert_true(shown(series) < 0);
	one = stream_metrics_get("inventory", "WatchStock", 3);
	assert_true(shown(series) >= 0);
	stream_metrics_put(one);
	stream_metrics_put(any);
}

static void test_items_by_what_they_came_to(void **state)
{
	uint32_t by_reason[COUNTERS_REASONS] = {[0] = 5, [COMMON__REASON__REASON_SOLD_OUT] = 2};
	struct method_counters *counters = counters_of("/a.B/BatchC");

	counters_items(counters, by_reason);
	counters_items(counters, by_reason);
	assert_true(shown("flashsale_rpc_server_items_total{method=\"/a.B/BatchC\",outcome=\"OK\"}") == 10);
	assert_true(
		shown("flashsale_rpc_server_items_total{method=\"/a.B/BatchC\",outcome=\"SOLD_OUT\"}") == 4);
	assert_true(
		shown("flashsale_rpc_server_items_total{method=\"/a.B/BatchC\",outcome=\"CLOSED\"}") == -1);
	assert_true(shown("flashsale_rpc_server_batch_items_count{method=\"/a.B/BatchC\"}") == 2);
	assert_true(shown("flashsale_rpc_server_batch_items_sum{method=\"/a.B/BatchC\"}") == 14);
}

static void test_refused_calls(void **state)
{
	counters_refused(rpc_reason_get(COMMON__REASON__REASON_NOT_FOUND));
	counters_refused(rpc_reason_get(COMMON__REASON__REASON_NOT_FOUND));
	assert_true(shown("flashsale_rpc_server_refused_total{reason=\"NOT_FOUND\"}") == 2);
}

static void test_the_process(void **state)
{
	const double now = (double)clock_wall_ms(&clock_system) / 1000;

	process_metrics_register();
	process_metrics_register();
	assert_true(shown("process_start_time_seconds") <= now + 1 &&
		    shown("process_start_time_seconds") > now - 60);
	assert_true(shown("process_resident_memory_bytes") > 65536);
	assert_true(shown("process_cpu_seconds_total") > 0);
	assert_true(shown("process_open_fds") >= 1);
	assert_true(shown("flashsale_build_info{version=\"" FLASHSALE_VERSION "\"}") == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_oldest_queue_counts),
		cmocka_unit_test(test_more_queues_than_are_counted),
		cmocka_unit_test(test_streams_age_until_they_are_heard),
		cmocka_unit_test(test_items_by_what_they_came_to),
		cmocka_unit_test(test_refused_calls),
		cmocka_unit_test(test_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
