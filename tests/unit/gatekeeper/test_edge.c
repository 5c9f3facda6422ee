/* What is not a buy: routes of the services, the edge's own answers, its limits, its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fakes.h"
#include "gatekeeper/edge/routes.h"

#define CROWD 10000

static struct fakes fakes;
static struct door door;
static struct edge_request *last;

static int setup_with(uint32_t queue_max, int64_t deadline_ms)
{
	struct edge_options options;

	fakes_start(&fakes);
	options = door_options(&fakes, &door);
	options.queue_max = queue_max;
	if (deadline_ms)
		options.deadline_ms = deadline_ms;
	options.bench = true;
	door_open(&door, &options);
	return 0;
}

static int setup(void **state)
{
	return setup_with(16384, 0);
}

/* A crowd at once is answered as fast as the machine is. */
static int setup_patient(void **state)
{
	return setup_with(16384, 80000);
}

static int setup_hasty(void **state)
{
	return setup_with(16384, 3000);
}

static int setup_small(void **state)
{
	return setup_with(10, 0);
}

static int teardown(void **state)
{
	if (last)
		edge_request_free(door.edge, last);
	last = NULL;
	door_close(&door);
	fakes_stop(&fakes);
	return 0;
}

static const struct edge_output *ask(enum edge_method method, const char *target, const char *body)
{
	if (last)
		edge_request_free(door.edge, last);
	last = door_visit(&door, method, target, body, NULL);
	return &last->out;
}

static void assert_body(const struct edge_output *out, const char *expected)
{
	char *body = memory_format("%.*s", (int)out->body_size, out->body);

	assert_string_equal(body, expected);
	free(body);
}

static void assert_has(const struct edge_output *out, const char *text)
{
	if (!memmem(out->body, out->body_size, text, strlen(text)))
		fail_msg("%.*s has no %s", (int)out->body_size, out->body, text);
}

static void assert_problem(const struct edge_output *out, int status, const char *reason)
{
	if (out->status != status)
		fail_msg("%d: %.*s", out->status, (int)out->body_size, out->body);
	assert_string_equal(out->content_type, "application/problem+json");
	assert_string_equal(out->reason, reason);
	assert_non_null(out->trace);
}

/* ---- routes of the services ---- */

static void test_a_call(void **state)
{
	const struct edge_output *out = ask(EDGE_GET, "/sku/SKU0001", NULL);

	assert_int_equal(out->status, 200);
	assert_body(out, "{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":5,\"goodsPrice\":99}");
	assert_string_equal(out->route, "/sku/{sku}");
	assert_string_equal(out->reason, "");
	assert_null(out->location);
	assert_string_equal(fakes_text(&fakes, fakes.last_trace), out->trace);
	assert_int_equal(ask(EDGE_HEAD, "/sku/SKU0001", NULL)->status, 200);
	assert_problem(ask(EDGE_GET, "/sku/NONE", NULL), 404, "UNKNOWN_SKU");
}

static void test_what_is_made_has_a_location(void **state)
{
	static const char goods[] = "{\"goodsSKU\":\"NEW\",\"goodsQuantity\":1,\"goodsPrice\":1}";

	assert_int_equal(ask(EDGE_POST, "/v1/goods", goods)->status, 201);
	assert_string_equal(last->out.location, "/v1/goods/NEW");
	assert_int_equal(ask(EDGE_POST, "/add", goods)->status, 200);
	assert_null(last->out.location);
}

/* "/v1/bans/x" of "/v1/bans/{ban_id}". */
static void target_of(const struct route *route, char *to)
{
	for (const char *at = route->path; *at; at++) {
		*to++ = *at == '{' ? 'x' : *at;
		at += *at == '{' ? strcspn(at, "}") : 0;
	}
	*to = '\0';
}

static void test_every_route_takes_nothing(void **state)
{
	static const enum edge_method methods[ROUTE_METHODS_MAX] = {
		[ROUTE_GET] = EDGE_GET,
		[ROUTE_POST] = EDGE_POST,
		[ROUTE_PUT] = EDGE_PUT,
		[ROUTE_PATCH] = EDGE_PATCH,
		[ROUTE_DELETE] = EDGE_DELETE,
	};
	struct error error;
	struct shapes *shapes = shapes_new(&error);
	struct routes *routes = routes_new(shapes, &error);
	const struct route *all;
	size_t count;
	char target[256];

	all = routes_all(routes, &count);
	for (size_t i = 0; i < count; i++) {
		target_of(&all[i], target);
		for (int named = 0; named < 2; named++) {
			const struct edge_output *out = ask(methods[all[i].http_method], target,
				!all[i].body ? NULL
				: named	     ? "{\"reason\":\"r\"}"
					     : "{}");

			assert_true(out->status >= 200);
			assert_non_null(out->user_id);
			assert_non_null(out->session_id);
		}
	}
	routes_free(routes);
	shapes_free(shapes);
}

static void test_an_address_is_no_account(void **state)
{
	ask(EDGE_POST, "/v1/bans", "{\"address\":\"192.0.2.1\"}");
	assert_string_equal(last->out.user_id, "");
	ask(EDGE_POST, "/v1/bans", "{\"userID\":\"ann\"}");
	assert_string_equal(last->out.user_id, "ann");
}

/* Until the edge has noticed, what it sends is lost. */
static bool is_down(const void *goods)
{
	return strcmp(ask(EDGE_POST, "/add", goods)->reason, "DEPENDENCY_DOWN") == 0;
}

static void test_services_away(void **state)
{
	static const char goods[] = "{\"goodsSKU\":\"NEW\",\"goodsQuantity\":1,\"goodsPrice\":1}";

	fakes_set_mood(&fakes, FAKE_INVENTORY, FAKE_BREAKING);
	assert_problem(ask(EDGE_GET, "/sku/A", NULL), 503, "DEPENDENCY_DOWN");
	assert_problem(ask(EDGE_POST, "/add", goods), 504, "OUTCOME_UNKNOWN");
	fakes_set_mood(&fakes, FAKE_INVENTORY, FAKE_STARTING);
	assert_problem(ask(EDGE_POST, "/add", goods), 503, "STARTING");
	fakes_kill(&fakes, FAKE_INVENTORY);
	wait_until(is_down, goods);
	assert_problem(&last->out, 503, "DEPENDENCY_DOWN");
	assert_true(last->out.retry_after_s > 0);
}

static void test_a_trace_is_taken_over(void **state)
{
	static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

	last = door_visit(&door, EDGE_GET, "/sku/A", NULL, &(struct headers){.trace = trace});
	assert_string_equal(last->out.trace, trace);
	assert_string_equal(fakes_text(&fakes, fakes.last_trace), trace);
	assert_problem(ask(EDGE_GET, "/sku/NONE", NULL), 404, "UNKNOWN_SKU");
	assert_int_equal(strlen(last->out.trace), 55);
}

/* ---- the edge's own ---- */

static void test_what_is_not_there(void **state)
{
	assert_problem(ask(EDGE_GET, "/nothing", NULL), 404, "");
	assert_problem(ask(EDGE_GET, "/buy", NULL), 405, "");
	assert_string_equal(last->out.allow, "POST");
	assert_problem(ask(EDGE_OTHER, "/sku/A", NULL), 405, "");
	assert_problem(ask(EDGE_OPTIONS, "/nothing", NULL), 404, "");
	assert_int_equal(ask(EDGE_OPTIONS, "/buy", NULL)->status, 204);
	assert_string_equal(last->out.allow, "POST");
	assert_problem(ask(EDGE_GET, "", NULL), 404, "");
	assert_problem(ask(EDGE_POST, "/buy", "{"), 400, "INVALID");
	assert_problem(ask(EDGE_POST, "/buy", NULL), 400, "INVALID");
}

static void test_another_content_type(void **state)
{
	last = door_visit(&door, EDGE_POST, "/buy", "a=b", &(struct headers){.type = "text/plain"});
	assert_problem(&last->out, 415, "");
}

static void test_openapi(void **state)
{
	assert_int_equal(ask(EDGE_GET, "/openapi.json", NULL)->status, 200);
	assert_has(&last->out, "\"openapi\":\"3.1");
	assert_has(&last->out, "\"/v1/buy\"");
}

static const struct edge_output *problem(enum edge_method method, const char *path, int status)
{
	if (last)
		edge_request_free(door.edge, last);
	last = edge_request_new(door.edge);
	last->in.method = method;
	last->in.path = (struct edge_slice){path, strlen(path)};
	edge_problem(door.edge, last, status);
	return &last->out;
}

static void test_problems_of_the_door(void **state)
{
	assert_int_equal(problem(EDGE_POST, "/buy", 429)->status, 429);
	assert_body(&last->out, "{\"reponseMsg\":\"Too many "
				"requests\",\"repResult\":false,\"isThrottled\":true,\"version\":\"1.0\"}");
	assert_true(last->out.retry_after_s > 0);
	assert_problem(problem(EDGE_POST, "/add", 429), 429, "THROTTLED");
	assert_has(&last->out, "\"isThrottled\":true");
	assert_problem(problem(EDGE_POST, "/v1/buy", 429), 429, "THROTTLED");
	assert_null(memmem(last->out.body, last->out.body_size, "isThrottled", 11));
	assert_problem(problem(EDGE_GET, "/v1/x", 413), 413, "");
	assert_problem(problem(EDGE_GET, "/", 494), 431, "");
	assert_problem(problem(EDGE_DELETE, "/buy", 405), 405, "");
	assert_string_equal(last->out.allow, "POST");
	assert_problem(problem(EDGE_POST, "/buy", 504), 504, "OUTCOME_UNKNOWN");
	assert_problem(problem(EDGE_GET, "/all", 504), 504, "");
	assert_problem(problem(EDGE_OTHER, "", 400), 400, "");
}

static void test_echo(void **state)
{
	const uint32_t before = fakes.calls;

	assert_int_equal(ask(EDGE_POST, "/bench/echo", "{}")->status, 200);
	assert_body(&last->out,
		"{\"reponseMsg\":\"echoed\",\"repResult\":true,\"isThrottled\":false,\"version\":\"1.0\"}");
	assert_int_equal(fakes.calls - before, 3);
	fakes_kill(&fakes, FAKE_ECHO);
	assert_problem(ask(EDGE_POST, "/bench/echo", "{}"), 503, "DEPENDENCY_DOWN");
}

static void test_no_echo_without_the_option(void **state)
{
	struct edge_options options;

	door_close(&door);
	options = door_options(&fakes, &door);
	door_open(&door, &options);
	assert_problem(ask(EDGE_POST, "/bench/echo", "{}"), 404, "");
}

/* ---- limits and the end ---- */

static char *crowd_body(int number)
{
	return memory_format("{\"userID\":\"user-%d\",\"goodsSKU\":\"A\",\"goodsQuantity\":1}", number);
}

static void begin_buys(int count, int *ret_answered)
{
	for (int i = 0; i < count; i++) {
		char *body = crowd_body(i);
		struct edge_request *request = door_begin(&door, EDGE_POST, "/v1/buy", body, NULL);

		if (request) {
			assert_problem(&request->out, 503, "OVERLOADED");
			edge_request_free(door.edge, request);
			++*ret_answered;
		}
		free(body);
	}
}

static void test_a_crowd_in_batches(void **state)
{
	int answered = 0;
	uint32_t before;

	before = fakes.calls;
	begin_buys(CROWD, &answered);
	assert_int_equal(answered, 0);
	for (int i = 0; i < CROWD; i++) {
		struct edge_request *request = door_take(&door);

		assert_int_equal(request->out.status, 200);
		edge_request_free(door.edge, request);
	}
	assert_int_equal(fakes.lines, CROWD);
	assert_int_equal(fakes.clients, CROWD);
	assert_true(fakes.calls - before < CROWD);
}

static void test_past_the_queue_it_is_overloaded(void **state)
{
	int answered = 0;

	fakes_set_mood(&fakes, FAKE_CART, FAKE_SILENT);
	begin_buys(30, &answered);
	assert_int_equal(answered, 20);
	fakes_set_mood(&fakes, FAKE_CART, FAKE_WELL);
	for (int i = 0; i < 10; i++)
		edge_request_free(door.edge, door_take(&door));
	answered = 0;
	begin_buys(1, &answered);
	assert_int_equal(answered, 0);
	edge_request_free(door.edge, door_take(&door));
}

/* Judged before any of them was sent: the loop counts them all the same. */
static void test_a_list_past_the_queue(void **state)
{
	static const char path[] = "/v1/buy",
			  body[] = "{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1}";
	struct edge_request *first = NULL, *previous = NULL;
	int overloaded = 0;

	for (int i = 0; i < 30; i++) {
		struct edge_request *request = edge_request_new(door.edge);

		request->in.method = EDGE_POST;
		request->in.path = (struct edge_slice){path, sizeof(path) - 1};
		request->in.body = (struct edge_slice){body, sizeof(body) - 1};
		request->in.content_type = (struct edge_slice){"application/json", 16};
		assert_false(edge_judge(door.edge, request));
		if (previous)
			previous->next = request;
		else
			first = request;
		previous = request;
	}
	door.waiting += 30;
	edge_send(door.edge, first, previous);
	for (int i = 0; i < 30; i++) {
		struct edge_request *request = door_take(&door);

		overloaded += request->out.status == 503;
		edge_request_free(door.edge, request);
	}
	assert_int_equal(overloaded, 20);
}

/* All of them come back before the drain ends, with what is true. */
static void test_a_drain_with_open_requests(void **state)
{
	int answered = 0, unknown = 0;
	struct edge_request *request;

	fakes_set_mood(&fakes, FAKE_CART, FAKE_SILENT);
	begin_buys(100, &answered);
	assert_int_equal(answered, 0);
	edge_drain(door.edge, true);
	while ((request = door.first)) {
		door.first = request->next;
		assert_true(request->out.status == 504 || request->out.status == 503);
		unknown += request->out.status == 504;
		edge_request_free(door.edge, request);
		answered++;
	}
	door.last = &door.first;
	assert_int_equal(answered, 100);
	assert_true(unknown > 0);
	fakes_set_mood(&fakes, FAKE_CART, FAKE_WELL);
}

static void test_what_it_can_not_start_with(void **state)
{
	struct edge_options options = door_options(&fakes, &door);
	struct error error = {0};

	options.discovery_file = "/tmp/no-such-list";
	assert_null(edge_new(&options, &error));
	assert_non_null(strstr(error.text, "/tmp/no-such-list"));
	options = door_options(&fakes, &door);
	options.demo = false;
	assert_null(edge_new(&options, &error));
	assert_non_null(strstr(error.text, "keys"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_call),
		TEST(test_what_is_made_has_a_location),
		TEST(test_every_route_takes_nothing),
		TEST(test_an_address_is_no_account),
		TEST(test_services_away),
		TEST(test_a_trace_is_taken_over),
		TEST(test_what_is_not_there),
		TEST(test_another_content_type),
		TEST(test_openapi),
		TEST(test_problems_of_the_door),
		TEST(test_echo),
		TEST(test_no_echo_without_the_option),
		cmocka_unit_test_setup_teardown(test_a_crowd_in_batches, setup_patient, teardown),
		cmocka_unit_test_setup_teardown(test_past_the_queue_it_is_overloaded, setup_small, teardown),
		cmocka_unit_test_setup_teardown(test_a_list_past_the_queue, setup_small, teardown),
		cmocka_unit_test_setup_teardown(test_a_drain_with_open_requests, setup_hasty, teardown),
		TEST(test_what_it_can_not_start_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
