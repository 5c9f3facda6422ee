/* A buy from the door to the services and back: each answer, each refusal, each fallback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fakes.h"

#define BAN_1 "01890a5d-ac96-774b-bcce-000000000001"
#define BAN_2 "01890a5d-ac96-774b-bcce-000000000002"

static struct fakes fakes;
static struct door door;
static struct edge_request *last;

static int setup(void **state)
{
	struct edge_options options;

	fakes_start(&fakes);
	options = door_options(&fakes, &door);
	options.protector_fail_closed = *state != NULL;
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

static const struct edge_output *post(const char *path, const char *body, const char *key)
{
	const struct headers headers = {.key = key};

	if (last)
		edge_request_free(door.edge, last);
	last = door_visit(&door, EDGE_POST, path, body, &headers);
	return &last->out;
}

static const struct edge_output *buy_as(
	const char *path, const char *user, const char *sku, int quantity, const char *key)
{
	char *body = memory_format("{\"sessionID\":\"s1\",\"userID\":\"%s\",\"userLevel\":5,\"goodsSKU\":\"%"
				   "s\",\"goodsQuantity\":%d}",
		user, sku, quantity);
	const struct edge_output *out = post(path, body, key);

	free(body);
	return out;
}

static void assert_has(const struct edge_output *out, const char *text)
{
	if (!memmem(out->body, out->body_size, text, strlen(text)))
		fail_msg("%.*s has no %s", (int)out->body_size, out->body, text);
}

static void assert_flags(const struct edge_output *out, const char *message, bool result)
{
	char *expected = memory_format(
		"{\"reponseMsg\":\"%s\",\"repResult\":%s,\"isThrottled\":false,\"version\":\"1.0\"}", message,
		result ? "true" : "false");

	assert_int_equal(out->status, 200);
	assert_int_equal(out->body_size, strlen(expected));
	assert_memory_equal(out->body, expected, out->body_size);
	assert_string_equal(out->content_type, "application/json");
	free(expected);
}

static void assert_problem(const struct edge_output *out, int status, const char *reason)
{
	char *named = memory_format("\"reason\":\"%s\"", reason);

	if (out->status != status)
		fail_msg("%d: %.*s", out->status, (int)out->body_size, out->body);
	assert_string_equal(out->content_type, "application/problem+json");
	assert_string_equal(out->reason, reason);
	assert_has(out, named);
	free(named);
}

/* ---- yes ---- */

static void test_a_yes_on_the_compatible_surface(void **state)
{
	const struct edge_output *out = buy_as("/buy", "ann", "SKU1", 2, NULL);

	assert_flags(out, "bought: in the cart", true);
	assert_string_equal(out->reason, "GRANTED");
	assert_string_equal(out->user_id, "ann");
	assert_string_equal(out->session_id, "s1");
	assert_string_equal(out->route, "/buy");
	assert_int_equal(fakes.clients, 1);
	assert_int_equal(fakes.limits, 1);
	assert_int_equal(fakes.lines, 1);
	assert_int_equal(fakes.last_limit, 5);
	assert_int_equal(fakes.last_quantity, 2);
	assert_int_equal(fakes.last_shard, 0);
	assert_int_equal(fakes.last_shards, 1);
	assert_in_range(fakes.last_timeout_ms, 1, DOOR_DEADLINE_MS);
	assert_string_equal(fakes_text(&fakes, fakes.last_client_ip), "192.0.2.44");
}

static void test_a_yes_under_v1_shows_the_hold(void **state)
{
	const struct edge_output *out = buy_as("/v1/buy", "ann", "SKU1", 2, NULL);

	assert_int_equal(out->status, 200);
	assert_has(out, "\"holdId\":\"0190163d-8694-739b-aea5-966c26f8ad91\"");
	assert_has(out, "\"state\":\"HOLD_STATE_HELD\"");
	assert_has(out, "\"goodsPrice\":99.9,");
	assert_has(out, "\"sessionID\":\"s1\"");
	assert_has(out, "\"remaining\":7");
	assert_has(out, "\"degraded\":false");
	assert_has(out, "\"serverTime\":\"20");
	assert_null(memmem(out->body, out->body_size, "reponseMsg", 10));
}

static void test_a_session_is_made_when_empty(void **state)
{
	const struct edge_output *out = post("/v1/buy",
		"{\"userID\":\"ann\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"clientIP\":\"2001:db8::1\"}",
		NULL);

	assert_int_equal(out->status, 200);
	assert_int_equal(strlen(out->session_id), 36);
	assert_has(out, out->session_id);
	assert_string_equal(fakes_text(&fakes, fakes.last_session), out->session_id);
	assert_string_equal(fakes_text(&fakes, fakes.last_client_ip), "2001:db8::1");
}

/* ---- no ---- */

static void test_refusals_by_a_rule(void **state)
{
	static const struct {
		const char *sku, *reason;
		const char *message;
		int status; /* under /v1 */
	} cases[] = {
		{"C-SOLD_OUT", "SOLD_OUT", "Sold out", 409},
		{"C-NOT_ENOUGH", "NOT_ENOUGH", "Not enough units are left", 409},
		{"C-LIMIT_REACHED", "LIMIT_REACHED", "The limit per person is reached", 409},
		{"C-CLOSED", "CLOSED", "The sale is closed", 409},
		{"C-UNKNOWN_SKU", "UNKNOWN_SKU", "No such goods", 404},
		{"P-NOT_OPEN", "NOT_OPEN", "The sale is not open yet", 409},
		{"P-CLOSED", "CLOSED", "The sale is closed", 409},
		{"P-LIMIT_REACHED", "LIMIT_REACHED", "The limit per person is reached", 409},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_flags(buy_as("/buy", "ann", cases[i].sku, 1, NULL), cases[i].message, false);
		assert_problem(
			buy_as("/v1/buy", "ann", cases[i].sku, 1, NULL), cases[i].status, cases[i].reason);
		assert_flags(buy_as("/cart/add", "ann", cases[i].sku, 1, NULL), cases[i].message, false);
	}
	assert_int_equal(fakes.lookups, 0);
}

static void test_problems_on_both_surfaces(void **state)
{
	static const struct {
		const char *sku, *reason;
		int status;
	} cases[] = {
		{"C-KEY_REUSED", "KEY_REUSED", 422},
		{"C-IN_PROGRESS", "IN_PROGRESS", 409},
		{"C-OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN", 504},
		{"C-STORE_FULL", "STORE_FULL", 503},
		{"C-DEPENDENCY_DOWN", "DEPENDENCY_DOWN", 503},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_problem(buy_as("/buy", "ann", cases[i].sku, 1, "k"), cases[i].status, cases[i].reason);
		assert_problem(
			buy_as("/v1/buy", "ann", cases[i].sku, 1, "k"), cases[i].status, cases[i].reason);
		assert_true(cases[i].status == 422 || last->out.retry_after_s > 0);
	}
}

static void test_a_ban_explains_itself(void **state)
{
	const struct edge_output *out = buy_as("/v1/buy", "banned-ann", "A", 1, NULL);

	assert_problem(out, 403, "BANNED");
	assert_has(out, "ban ban-of-banned-ann, until 2100-01-01T00:00:00.000Z");
	assert_flags(buy_as("/buy", "banned-ann", "A", 1, NULL),
		"This client is banned: ban ban-of-banned-ann, until 2100-01-01T00:00:00.000Z", false);
	assert_int_equal(fakes.lines, 0);
}

static void test_what_a_service_calls_invalid_has_its_json_name(void **state)
{
	const struct edge_output *out = buy_as("/buy", "odd-ann", "A", 1, NULL);

	assert_problem(out, 400, "INVALID");
	assert_has(out, "\"field\":\"userID\"");
}

static void test_malformed_requests_ask_nobody(void **state)
{
	static const struct {
		const char *body, *field;
	} cases[] = {
		{"{\"goodsSKU\":\"A\",\"goodsQuantity\":1}", "userID"},
		{"{\"userID\":\"u\",\"goodsQuantity\":1}", "goodsSKU"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"a/b\",\"goodsQuantity\":1}", "goodsSKU"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\"}", "goodsQuantity"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1000001}", "goodsQuantity"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":-1}", "goodsQuantity"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"userLevel\":1001}", "userLevel"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"userLevel\":-1}", "userLevel"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"clientIP\":\"1.2.3\"}",
			"clientIP"},
		{"{\"userID\":\"u\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"sessionID\":"
		 "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
			"sessionID"},
	};
	char long_key[130];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *field = memory_format("\"field\":\"%s\"", cases[i].field);

		assert_problem(post("/buy", cases[i].body, NULL), 400, "INVALID");
		assert_has(&last->out, field);
		assert_problem(post("/v1/buy", cases[i].body, NULL), 400, "INVALID");
		assert_has(&last->out, field);
		free(field);
	}
	memset(long_key, 'k', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = 0;
	assert_problem(buy_as("/buy", "u", "A", 1, long_key), 400, "INVALID");
	assert_problem(buy_as("/buy", "u", "A", 1, ""), 400, "INVALID");
	assert_problem(buy_as("/buy", "u", "A", 1, "a\tb"), 400, "INVALID");
	assert_int_equal(fakes.clients + fakes.limits + fakes.lines, 0);
}

/* ---- the glance ---- */

static bool is_refused_early(const void *sku)
{
	const uint32_t before = fakes.clients;

	buy_as("/buy", "ann", sku, 1, NULL);
	return fakes.clients == before;
}

static void test_sold_out_and_closed_are_refused_early(void **state)
{
	fakes_stock(&fakes, "GONE", 0, false);
	fakes_stock(&fakes, "SHUT", 5, true);
	wait_until(is_refused_early, "GONE");
	assert_flags(&last->out, "Sold out", false);
	wait_until(is_refused_early, "SHUT");
	assert_flags(&last->out, "The sale is closed", false);
	assert_false(is_refused_early("OTHER"));
	fakes_stock(&fakes, "GONE", 3, false);
	while (is_refused_early("GONE"))
		;
	assert_flags(&last->out, "bought: in the cart", true);
}

static bool is_told_not(const void *sku)
{
	return is_refused_early(sku);
}

static void test_rules_are_looked_at_early(void **state)
{
	const int64_t now_ms = clock_wall_ms(&clock_system);

	fakes_rule(&fakes, "SOON", -1, 5, now_ms + 3600000, 0);
	fakes_rule(&fakes, "PAST", -1, 5, 0, now_ms - 1000);
	fakes_rule(&fakes, "FEW", 5, 1, 0, 0);
	wait_until(is_told_not, "SOON");
	assert_string_equal(last->out.reason, "NOT_OPEN");
	wait_until(is_told_not, "PAST");
	assert_string_equal(last->out.reason, "CLOSED");
	assert_false(is_refused_early("FEW"));
	buy_as("/v1/buy", "ann", "FEW", 2, NULL);
	assert_problem(&last->out, 409, "LIMIT_REACHED");
}

static bool is_banned_early(const void *user)
{
	const uint32_t before = fakes.clients;

	buy_as("/buy", user, "A", 1, NULL);
	return fakes.clients == before;
}

static void test_bans_bite_early_and_end_by_themselves(void **state)
{
	const int64_t now_ms = clock_wall_ms(&clock_system);

	fakes_ban(&fakes, BAN_2, "mallory", now_ms + 400);
	fakes_ban(&fakes, BAN_1, "eve", 0);
	wait_until(is_banned_early, "eve"); /* so the ban before it is known too */
	assert_flags(&last->out, "This client is banned: ban " BAN_1 ", without an end", false);
	while (is_banned_early("mallory"))
		;
	assert_flags(&last->out, "bought: in the cart", true);
	assert_true(clock_wall_ms(&clock_system) >= now_ms + 400);
	fakes_unban(&fakes, BAN_1);
	while (is_banned_early("eve"))
		;
	assert_flags(&last->out, "bought: in the cart", true);
}

static bool is_asked_after_a_change(const void *sku)
{
	post("/policy/add", "{\"goodsSKU\":\"A\",\"userLevel\":1,\"quantityLimit\":2}", NULL);
	post("/add", "{\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"goodsPrice\":1}", NULL);
	return !is_refused_early(sku);
}

static bool is_asked_after_another_ban(const void *user)
{
	post("/badguy/add", "{\"userID\":\"frank\"}", NULL);
	return !is_banned_early(user);
}

static void test_who_changes_something_is_not_judged_by_what_was_before(void **state)
{
	fakes_stock(&fakes, "GONE", 0, false);
	fakes_rule(&fakes, "PAST", -1, 5, 0, clock_wall_ms(&clock_system) - 1000);
	fakes_ban(&fakes, BAN_1, "eve", 0);
	wait_until(is_refused_early, "GONE");
	wait_until(is_refused_early, "PAST");
	wait_until(is_banned_early, "eve");
	wait_until(is_asked_after_a_change, "GONE");
	assert_flags(&last->out, "bought: in the cart", true);
	wait_until(is_asked_after_a_change, "PAST");
	wait_until(is_asked_after_another_ban, "eve");
	/* What did not change in truth is known again soon. */
	wait_until(is_refused_early, "GONE");
	wait_until(is_refused_early, "PAST");
	wait_until(is_banned_early, "eve");
}

/* ---- keys ---- */

static void test_a_key_knows_better_than_sold_out(void **state)
{
	assert_flags(buy_as("/buy", "ann", "LAST", 1, "k1"), "bought: in the cart", true);
	fakes_stock(&fakes, "LAST", 0, false);
	wait_until(is_refused_early, "LAST");
	assert_flags(buy_as("/buy", "ann", "LAST", 1, "k1"), "bought: in the cart", true);
	assert_int_equal(fakes.lookups, 1);
	assert_flags(buy_as("/buy", "ann", "LAST", 1, "k2"), "Sold out", false);
	assert_flags(buy_as("/buy", "bob", "LAST", 1, "k1"), "Sold out", false);
	assert_problem(buy_as("/buy", "ann", "LAST", 2, "k1"), 422, "KEY_REUSED");
	assert_int_equal(fakes.lookups, 4);
}

static void test_a_key_knows_better_than_policy(void **state)
{
	assert_flags(buy_as("/buy", "ann", "P-CLOSED", 1, "k1"), "The sale is closed", false);
	assert_int_equal(fakes.lookups, 1);
	assert_flags(buy_as("/buy", "ann", "A", 1, "k1"), "bought: in the cart", true);
	assert_flags(buy_as("/buy", "ann", "P-CLOSED", 1, "k1"), "bought: in the cart", true);
	assert_int_equal(fakes.lookups, 2);
}

static void test_a_ban_is_not_looked_up(void **state)
{
	assert_flags(buy_as("/buy", "ann", "A", 1, "k1"), "bought: in the cart", true);
	fakes_ban(&fakes, BAN_1, "ann", 0);
	wait_until(is_banned_early, "ann");
	buy_as("/buy", "ann", "A", 1, "k1");
	assert_string_equal(last->out.reason, "BANNED");
	assert_int_equal(fakes.lookups, 0);
}

/* Until the edge has noticed, what it sends is lost. */
static bool is_down_for_the_key(const void *unused)
{
	buy_as("/buy", "ann", "LAST", 1, "k1");
	assert_string_not_equal(last->out.reason, "SOLD_OUT");
	return strcmp(last->out.reason, "DEPENDENCY_DOWN") == 0;
}

static void test_nobody_hears_sold_out_while_their_key_is_in_doubt(void **state)
{
	fakes_stock(&fakes, "LAST", 0, false);
	wait_until(is_refused_early, "LAST");
	fakes_set_mood(&fakes, FAKE_CART, FAKE_BREAKING);
	assert_problem(buy_as("/buy", "ann", "LAST", 1, "k1"), 504, "OUTCOME_UNKNOWN");
	fakes_kill(&fakes, FAKE_CART);
	wait_until(is_down_for_the_key, NULL);
	assert_problem(&last->out, 503, "DEPENDENCY_DOWN");
	assert_flags(buy_as("/buy", "ann", "LAST", 1, NULL), "Sold out", false);
}

/* ---- services away ---- */

static bool has_answer(const void *reason)
{
	buy_as("/v1/buy", "ann", "A", 1, NULL);
	return strcmp(last->out.reason, reason) == 0;
}

static void test_the_cart_away_is_503_and_comes_back(void **state)
{
	fakes_kill(&fakes, FAKE_CART);
	wait_until(has_answer, "DEPENDENCY_DOWN");
	assert_problem(&last->out, 503, "DEPENDENCY_DOWN");
	assert_true(last->out.retry_after_s > 0);
	assert_problem(buy_as("/buy", "ann", "A", 1, NULL), 503, "DEPENDENCY_DOWN");
	fakes_revive(&fakes, FAKE_CART);
	wait_until(has_answer, "GRANTED");
}

static void test_what_was_sent_and_not_answered_is_unknown(void **state)
{
	fakes_set_mood(&fakes, FAKE_CART, FAKE_BREAKING);
	assert_problem(buy_as("/v1/buy", "ann", "A", 1, "k"), 504, "OUTCOME_UNKNOWN");
	assert_has(&last->out, "same Idempotency-Key");
	assert_problem(buy_as("/buy", "ann", "A", 1, "k"), 504, "OUTCOME_UNKNOWN");
	fakes_set_mood(&fakes, FAKE_CART, FAKE_STARTING);
	assert_problem(buy_as("/v1/buy", "ann", "A", 1, "k"), 503, "STARTING");
}

static void test_the_deadline_makes_it_unknown(void **state)
{
	struct edge_options options = door_options(&fakes, &door);
	int64_t begun_ns;

	door_close(&door);
	options.deadline_ms = 3000;
	door_open(&door, &options);
	fakes_set_mood(&fakes, FAKE_CART, FAKE_SILENT);
	begun_ns = clock_mono_ns();
	assert_problem(buy_as("/v1/buy", "ann", "A", 1, "k"), 504, "OUTCOME_UNKNOWN");
	assert_true(clock_mono_ns() - begun_ns >= INT64_C(2900000000));
	fakes_set_mood(&fakes, FAKE_CART, FAKE_WELL);
}

static bool knows_rule(const void *unused)
{
	buy_as("/v1/buy", "ann", "A", 4, NULL);
	return strcmp(last->out.reason, "LIMIT_REACHED") == 0;
}

static void test_without_the_protector_the_last_bans_judge(void **state)
{
	fakes_ban(&fakes, BAN_1, "eve", 0);
	wait_until(is_banned_early, "eve");
	fakes_kill(&fakes, FAKE_PROTECTOR);
	assert_int_equal(buy_as("/v1/buy", "ann", "A", 1, NULL)->status, 200);
	assert_has(&last->out, "\"degraded\":true");
	assert_problem(buy_as("/v1/buy", "eve", "A", 1, NULL), 403, "BANNED");
}

/* Who is asked and says nothing must leave time for the cart. */
static void test_a_silent_protector_and_a_silent_policy(void **state)
{
	fakes_rule(&fakes, "*", -1, 3, 0, 0);
	wait_until(knows_rule, NULL);
	fakes_set_mood(&fakes, FAKE_PROTECTOR, FAKE_SILENT);
	fakes_set_mood(&fakes, FAKE_POLICY, FAKE_SILENT);
	assert_int_equal(buy_as("/v1/buy", "ann", "A", 1, NULL)->status, 200);
	assert_has(&last->out, "\"degraded\":true");
	assert_int_equal(fakes.last_limit, 3);
	fakes_set_mood(&fakes, FAKE_PROTECTOR, FAKE_WELL);
	fakes_set_mood(&fakes, FAKE_POLICY, FAKE_WELL);
}

/* No ban was ever heard of: there is nothing that could stand in. */
static void test_without_the_protector_from_the_start(void **state)
{
	struct edge_options options = door_options(&fakes, &door);

	door_close(&door);
	fakes_kill(&fakes, FAKE_PROTECTOR);
	door_open_early(&door, &options);
	wait_until(has_answer, "DEPENDENCY_DOWN");
	assert_int_equal(fakes.lines, 0);
	assert_false(edge_healthy(door.edge));
}

static void test_fail_closed(void **state)
{
	assert_int_equal(buy_as("/v1/buy", "ann", "A", 1, NULL)->status, 200);
	fakes_set_mood(&fakes, FAKE_PROTECTOR, FAKE_BREAKING);
	assert_problem(buy_as("/v1/buy", "ann", "A", 1, NULL), 503, "DEPENDENCY_DOWN");
	assert_int_equal(fakes.lines, 1);
}

static void test_without_policy_the_last_rules_judge(void **state)
{
	fakes_rule(&fakes, "*", -1, 3, 0, 0);
	wait_until(knows_rule, NULL);
	fakes_kill(&fakes, FAKE_POLICY);
	assert_int_equal(buy_as("/v1/buy", "ann", "A", 2, NULL)->status, 200);
	assert_has(&last->out, "\"degraded\":true");
	assert_int_equal(fakes.last_limit, 3);
	assert_problem(buy_as("/v1/buy", "ann", "A", 4, NULL), 409, "LIMIT_REACHED");
}

static bool is_down(const void *unused)
{
	return strcmp(buy_as("/v1/buy", "ann", "A", 2, NULL)->reason, "DEPENDENCY_DOWN") == 0;
}

static void test_rules_grow_too_old(void **state)
{
	struct edge_options options;
	int64_t killed_ns;

	door_close(&door);
	last = NULL;
	options = door_options(&fakes, &door);
	options.policy_fallback_ms = 1500;
	door_open(&door, &options);
	fakes_rule(&fakes, "*", -1, 3, 0, 0);
	wait_until(knows_rule, NULL);
	fakes_kill(&fakes, FAKE_POLICY);
	killed_ns = clock_mono_ns();
	wait_until(is_down, NULL);
	assert_true(clock_mono_ns() - killed_ns >= INT64_C(1000000000));
}

static void test_without_policy_and_without_rules_it_is_503(void **state)
{
	fakes_kill(&fakes, FAKE_POLICY);
	assert_problem(buy_as("/v1/buy", "ann", "A", 1, NULL), 503, "DEPENDENCY_DOWN");
	assert_int_equal(fakes.lines, 0);
}

/* Its marks are old: the one who knows is asked. */
static void test_a_silent_stream_rejects_nobody(void **state)
{
	fakes_stock(&fakes, "GONE", 0, false);
	wait_until(is_refused_early, "GONE");
	fakes_kill(&fakes, FAKE_INVENTORY);
	while (is_refused_early("GONE"))
		;
	assert_flags(&last->out, "bought: in the cart", true);
}

/* ---- carts ---- */

static void test_adding_to_a_cart_shows_the_line(void **state)
{
	assert_int_equal(buy_as("/cart/add", "ann", "A", 2, NULL)->status, 200);
	assert_has(&last->out, "{\"sessionID\":\"s1\",\"userID\":\"ann\",\"goodsSKU\":\"A\","
			       "\"goodsQuantity\":12,\"goodsPrice\":99.9");
	assert_int_equal(fakes.lines, 1);
	assert_int_equal(buy_as("/v1/carts/ann/items", "ann", "hidden-A", 2, NULL)->status, 200);
	assert_has(&last->out,
		"\"goodsQuantity\":2,\"goodsPrice\":99.9,\"deadline\":\"2100-01-01T00:00:00.000Z\"");
}

static const struct edge_output *put(const char *sku, int quantity)
{
	char *body = memory_format(
		"{\"sessionID\":\"s1\",\"userID\":\"ann\",\"goodsSKU\":\"%s\",\"goodsQuantity\":%d}", sku,
		quantity);

	if (last)
		edge_request_free(door.edge, last);
	last = door_visit(&door, EDGE_PUT, "/cart/update", body,
		&(struct headers){.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"});
	free(body);
	return &last->out;
}

static void test_setting_a_line(void **state)
{
	assert_int_equal(put("A", 3)->status, 200);
	assert_has(&last->out, "\"goodsQuantity\":3");
	assert_int_equal(fakes.last_limit, 5);
	assert_int_equal(fakes.last_shards, 1);
	assert_in_range(fakes.last_timeout_ms, 1, DOOR_DEADLINE_MS);
	assert_string_equal(fakes_text(&fakes, fakes.last_trace),
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	assert_flags(put("A", 6), "The limit per person is reached", false);
	assert_problem(put("C-NOT_FOUND", 1), 404, "NOT_FOUND");
	assert_flags(put("C-SOLD_OUT", 1), "Sold out: no", false);
	assert_int_equal(fakes.updates, 3);
}

static void test_a_banned_person_may_only_give_back(void **state)
{
	fakes_ban(&fakes, BAN_1, "ann", 0);
	wait_until(is_banned_early, "ann");
	assert_flags(put("A", 1), "This client is banned: ban " BAN_1 ", without an end", false);
	assert_int_equal(fakes.updates, 0);
	assert_int_equal(put("A", 0)->status, 200);
	fakes_stock(&fakes, "GONE", 0, false);
	assert_int_equal(put("GONE", 0)->status, 200);
}

static bool is_down_for_lines(const void *unused)
{
	return strcmp(put("A", 0)->reason, "DEPENDENCY_DOWN") == 0;
}

static void test_emptying_a_line_asks_the_cart_only(void **state)
{
	fakes_kill(&fakes, FAKE_POLICY);
	fakes_kill(&fakes, FAKE_PROTECTOR);
	assert_int_equal(put("A", 0)->status, 200);
	assert_int_equal(fakes.clients + fakes.limits, 0);
	fakes_set_mood(&fakes, FAKE_CART, FAKE_BREAKING);
	assert_problem(put("A", 0), 504, "OUTCOME_UNKNOWN");
	fakes_kill(&fakes, FAKE_CART);
	wait_until(is_down_for_lines, NULL);
	assert_problem(&last->out, 503, "DEPENDENCY_DOWN");
}

int main(void)
{
	static int closed;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_yes_on_the_compatible_surface),
		TEST(test_a_yes_under_v1_shows_the_hold),
		TEST(test_a_session_is_made_when_empty),
		TEST(test_refusals_by_a_rule),
		TEST(test_problems_on_both_surfaces),
		TEST(test_a_ban_explains_itself),
		TEST(test_what_a_service_calls_invalid_has_its_json_name),
		TEST(test_malformed_requests_ask_nobody),
		TEST(test_sold_out_and_closed_are_refused_early),
		TEST(test_rules_are_looked_at_early),
		TEST(test_bans_bite_early_and_end_by_themselves),
		TEST(test_who_changes_something_is_not_judged_by_what_was_before),
		TEST(test_a_key_knows_better_than_sold_out),
		TEST(test_a_key_knows_better_than_policy),
		TEST(test_a_ban_is_not_looked_up),
		TEST(test_nobody_hears_sold_out_while_their_key_is_in_doubt),
		TEST(test_the_cart_away_is_503_and_comes_back),
		TEST(test_what_was_sent_and_not_answered_is_unknown),
		TEST(test_the_deadline_makes_it_unknown),
		TEST(test_without_the_protector_the_last_bans_judge),
		TEST(test_a_silent_protector_and_a_silent_policy),
		TEST(test_without_the_protector_from_the_start),
		cmocka_unit_test_prestate_setup_teardown(test_fail_closed, setup, teardown, &closed),
		TEST(test_without_policy_the_last_rules_judge),
		TEST(test_rules_grow_too_old),
		TEST(test_without_policy_and_without_rules_it_is_503),
		TEST(test_a_silent_stream_rejects_nobody),
		TEST(test_adding_to_a_cart_shows_the_line),
		TEST(test_setting_a_line),
		TEST(test_a_banned_person_may_only_give_back),
		TEST(test_emptying_a_line_asks_the_cart_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
