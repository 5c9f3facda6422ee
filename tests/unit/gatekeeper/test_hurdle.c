/* Clients that are slowed or challenged, from the door: what they hear on both surfaces, and what gets them through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/metrics.h"
#include "fakes.h"
#include "solver.h"

#define DIFFICULTY 4 /* of door_options() */
#define SLOW PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW
#define CHALLENGE PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE

#define BAN_1 "01890a5d-ac96-774b-bcce-000000000001"
#define BAN_2 "01890a5d-ac96-774b-bcce-000000000002"
#define BAN_3 "01890a5d-ac96-774b-bcce-000000000003"

static struct fakes fakes;
static struct door door;
static struct edge_request *last;

static int setup(void **state)
{
	struct edge_options options;

	fakes_start(&fakes);
	options = door_options(&fakes, &door);
	door_open(&door, &options);
	return 0;
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

static const struct edge_output *ask(
	enum edge_method method, const char *path, const char *body, const struct headers *headers)
{
	if (last)
		edge_request_free(door.edge, last);
	last = door_visit(&door, method, path, body, headers);
	return &last->out;
}

static const struct edge_output *buy(
	const char *path, const char *user, const char *sku, const char *ip, const char *solution)
{
	const struct headers headers = {.solution = solution};
	char *body = memory_format("{\"userID\":\"%s\",\"userLevel\":5,\"goodsSKU\":\"%s\",\"goodsQuantity\":"
				   "1,\"clientIP\":\"%s\"}",
		user, sku, ip);
	const struct edge_output *out = ask(EDGE_POST, path, body, &headers);

	free(body);
	return out;
}

static void assert_has(const struct edge_output *out, const char *text)
{
	if (!memmem(out->body, out->body_size, text, strlen(text)))
		fail_msg("%.*s has no %s", (int)out->body_size, out->body, text);
}

static bool is_challenged(const void *user)
{
	return buy("/v1/buy", user, "SKU1", "192.0.2.44", NULL)->status == 428;
}

static bool is_slowed(const void *user)
{
	return buy("/v1/buy", user, "SKU1", "192.0.2.44", NULL)->status == 429;
}

static bool is_sold_out(const void *user)
{
	return strcmp(buy("/v1/buy", user, "SKU1", "192.0.2.44", NULL)->reason, "SOLD_OUT") == 0;
}

static int64_t counted(const char *outcome)
{
	char *line = memory_format("flashsale_gatekeeper_challenges_total{outcome=\"%s\"} ", outcome);
	size_t size;
	char *text = metrics_text(&size), *found = strstr(text, line);
	int64_t value;

	assert_non_null(found);
	value = atoll(found + strlen(line));
	free(text);
	free(line);
	return value;
}

static void test_a_slowed_client_is_told_when(void **state)
{
	const struct edge_output *out;

	fakes_ban_as(&fakes, BAN_1, "eve", NULL, SLOW);
	wait_until(is_slowed, "eve");
	assert_string_equal(last->out.reason, "SLOWED");
	assert_in_range(last->out.retry_after_s, 1, 2);
	assert_has(&last->out, "\"reason\":\"SLOWED\"");
	assert_has(&last->out, "\"detail\":\"ban " BAN_1 "\"");
	assert_has(&last->out, "\"retry\":\"later\"");
	out = buy("/buy", "eve", "SKU1", "192.0.2.44", NULL);
	assert_int_equal(out->status, 429);
	assert_has(out, "\"repResult\":false,\"isThrottled\":true");
	assert_in_range(out->retry_after_s, 1, 2);
	assert_int_equal(buy("/v1/buy", "ann", "SKU1", "192.0.2.44", NULL)->status, 200);
}

static void test_a_challenge_and_its_solution(void **state)
{
	char solution[SOLUTION_TEXT_MAX], named[CHALLENGE_TEXT_MAX + 16];
	const struct edge_output *out;
	int64_t made;

	fakes_ban_as(&fakes, BAN_1, "eve", NULL, CHALLENGE);
	wait_until(is_challenged, "eve");
	made = counted("made");
	assert_true(made > 0);
	assert_string_equal(last->out.reason, "CHALLENGE_REQUIRED");
	assert_has(&last->out, "\"retry\":\"with-solution\"");
	assert_non_null(last->out.challenge);
	snprintf(named, sizeof(named), "\"challenge\":\"%s\"", last->out.challenge);
	assert_has(&last->out, named);
	solver_search(last->out.challenge, 0, DIFFICULTY, true, solution);
	out = buy("/v1/buy", "ann", "SKU1", "192.0.2.44",
		solution); /* nothing is asked of her, nothing is used up */
	assert_int_equal(out->status, 200);
	assert_null(out->challenge);
	assert_int_equal(buy("/v1/buy", "eve", "SKU1", "192.0.2.44", solution)->status, 200);
	assert_int_equal(buy("/v1/buy", "eve", "SKU1", "192.0.2.44", solution)->status, 428);
	assert_has(&last->out, "used before");
	assert_string_not_equal(last->out.challenge, "");
	assert_int_equal(buy("/v1/buy", "eve", "SKU1", "192.0.2.44", "nonsense")->status, 428);
	assert_int_equal(counted("made"), made + 2);
	assert_int_equal(counted("solved"), 1);
	assert_int_equal(counted("reused"), 1);
	assert_int_equal(counted("wrong"), 1);
}

static void test_a_challenge_on_the_compatible_surface(void **state)
{
	char solution[SOLUTION_TEXT_MAX];
	const struct edge_output *out;

	fakes_ban_as(&fakes, BAN_1, NULL, "192.0.2.0/24", CHALLENGE);
	wait_until(is_challenged, "eve");
	out = buy("/buy", "eve", "SKU1", "192.0.2.7", NULL);
	assert_int_equal(out->status, 200);
	assert_has(out, "\"repResult\":false,\"isThrottled\":false");
	assert_has(out, "Solve the challenge first");
	solver_search(out->challenge, 0, DIFFICULTY, true, solution);
	out = buy("/buy", "eve", "SKU1", "192.0.2.8", solution); /* another address of the range */
	assert_has(out, "\"repResult\":false");
	out = buy("/buy", "eve", "SKU1", "192.0.2.7", solution);
	assert_has(out, "\"repResult\":true");
	assert_null(out->challenge);
	out = buy("/buy", "eve", "SKU1", "198.51.100.1", NULL);
	assert_has(out, "\"repResult\":true");
}

/* Nobody works for a no; and giving back is free. */
static void test_who_is_spared(void **state)
{
	fakes_ban_as(&fakes, BAN_1, "eve", NULL, CHALLENGE);
	wait_until(is_challenged, "eve");
	fakes_stock(&fakes, "SKU1", 0, false);
	wait_until(is_sold_out, "eve");
	assert_null(last->out.challenge);
	ask(EDGE_PUT, "/cart/update",
		"{\"userID\":\"eve\",\"sessionID\":\"s\",\"goodsSKU\":\"SKU1\",\"goodsQuantity\":1}", NULL);
	assert_string_equal(last->out.reason, "CHALLENGE_REQUIRED");
	ask(EDGE_PUT, "/cart/update",
		"{\"userID\":\"eve\",\"sessionID\":\"s\",\"goodsSKU\":\"SKU1\",\"goodsQuantity\":0}", NULL);
	assert_string_equal(last->out.reason, "GRANTED");
}

static void test_a_ban_is_stronger(void **state)
{
	fakes_ban_as(&fakes, BAN_1, "eve", NULL, CHALLENGE);
	fakes_ban(&fakes, BAN_2, "eve", 0);
	fakes_ban_as(&fakes, BAN_3, "mallory", NULL, CHALLENGE); /* the last to come */
	wait_until(is_challenged, "mallory");
	assert_int_equal(buy("/v1/buy", "eve", "SKU1", "192.0.2.44", NULL)->status, 403);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_slowed_client_is_told_when),
		TEST(test_a_challenge_and_its_solution),
		TEST(test_a_challenge_on_the_compatible_surface),
		TEST(test_who_is_spared),
		TEST(test_a_ban_is_stronger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
