/* What protectors are told: an event of every outcome, whose it is, and how many were left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fakes.h"
#include "flashsale/protector/v1/traffic.pb-c.h"

#define READ PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_READ
#define BUY PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_BUY
#define CHANGE PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_CHANGE
#define OTHER PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_UNSPECIFIED
#define REASON(name) COMMON__REASON__REASON_##name

static struct fakes fakes;
static struct door door;
static uint32_t known; /* events that were reported before the test's own */

static void visit(enum edge_method method, const char *target, const char *body)
{
	edge_request_free(door.edge, door_visit(&door, method, target, body, NULL));
}

static bool came(const void *count)
{
	return fakes.events >= *(const uint32_t *)count;
}

static void await_events(uint32_t count)
{
	count += known;
	wait_until(came, &count);
}

static bool is_heard(const void *streams)
{
	static int turn;
	char target[64];

	snprintf(target, sizeof(target), "/user/userid/probe%d/sku/A", turn++);
	visit(EDGE_GET, target, NULL);
	return fakes.event_streams >= *(const uint32_t *)streams;
}

static bool marker_came(const void *unused)
{
	const uint32_t count = fakes.events;

	for (known = 0; known < count; known++) {
		if (strcmp(fakes_event(&fakes, known).user_id, "marker") == 0) {
			known++;
			return true;
		}
	}
	return false;
}

/* Until each of so many protectors listens, and what that took has arrived. */
static void await_listeners(uint32_t count)
{
	wait_until(is_heard, &count);
	visit(EDGE_GET, "/user/userid/marker/sku/A", NULL);
	wait_until(marker_came, NULL);
}

static int setup_with(int protectors)
{
	struct edge_options options;

	fakes_start(&fakes);
	fakes_list(&fakes, protectors);
	options = door_options(&fakes, &door);
	options.bench = true;
	door_open(&door, &options);
	await_listeners((uint32_t)protectors);
	return 0;
}

static int setup(void **state)
{
	return setup_with(1);
}

static int setup_two(void **state)
{
	return setup_with(2);
}

static int teardown(void **state)
{
	door_close(&door);
	fakes_stop(&fakes);
	return 0;
}

static void buy(const char *user, const char *sku, const char *address)
{
	char *body = memory_format("{\"userID\":\"%s\",\"userLevel\":5,\"goodsSKU\":\"%s\",\"goodsQuantity\":"
				   "1,\"clientIP\":\"%s\"}",
		user, sku, address);

	visit(EDGE_POST, "/v1/buy", body);
	free(body);
}

static void problem(int status)
{
	struct edge_request *request = edge_request_new(door.edge);

	request->in.path = (struct edge_slice){"/v1/buy", 7};
	request->in.method = EDGE_POST;
	request->in.client_ip = (struct edge_slice){"192.0.2.44", 10};
	edge_problem(door.edge, request, status);
	edge_request_free(door.edge, request);
}

static void assert_event(uint32_t index, const char *user, int kind, int reason)
{
	static const uint8_t peer[4] = {192, 0, 2, 44};
	const struct fake_event event = fakes_event(&fakes, known + index);

	assert_string_equal(event.user_id, user);
	assert_int_equal(event.kind, kind);
	assert_int_equal(event.reason, reason);
	assert_int_equal(event.address_size, 4);
	assert_memory_equal(event.address, peer, 4);
	assert_true(event.counts_address);
	assert_int_equal(event.counts_account, *user != '\0');
}

static void every_outcome_is_reported(void **state)
{
	char long_user[80] = {0};

	memset(long_user, 'x', 65);
	buy("ann", "A", "");
	buy("ann", "C-NOT_ENOUGH", "");
	buy("banned-bob", "A", "");
	visit(EDGE_POST, "/v1/buy", "{");
	buy(long_user, "A", "");
	problem(429);
	problem(504); /* its request is reported for itself */
	problem(413);
	visit(EDGE_GET, "/nothing/here", NULL);
	visit(EDGE_GET, "/user/userid/ann/sku/A", NULL);
	visit(EDGE_DELETE, "/cart/delete/userid/ann/sku/A", NULL);
	visit(EDGE_GET, "/bench/echo", NULL);
	visit(EDGE_POST, "/buy",
		"{\"userID\":\"ann\",\"userLevel\":5,\"goodsSKU\":\"A\",\"goodsQuantity\":0}");
	buy("last", "A", "");
	await_events(12);
	assert_event(0, "ann", BUY, REASON(UNSPECIFIED));
	assert_event(1, "ann", BUY, REASON(NOT_ENOUGH));
	assert_event(2, "banned-bob", BUY, REASON(BANNED));
	assert_event(3, "", BUY, REASON(INVALID));
	assert_event(4, "", BUY, REASON(INVALID));
	assert_event(5, "", BUY, REASON(THROTTLED));
	assert_event(6, "", BUY, REASON(INVALID));
	assert_event(7, "", OTHER, REASON(INVALID));
	assert_event(8, "ann", READ, REASON(NOT_FOUND));
	assert_event(9, "ann", CHANGE, REASON(NOT_FOUND));
	assert_event(10, "ann", BUY, REASON(INVALID));
	assert_event(11, "last", BUY, REASON(UNSPECIFIED));
	assert_int_equal(fakes.events, known + 12);
}

/* An account that an operator or the public asks about is not the one that asks. */
static void nobody_is_framed_by_what_is_asked_about_them(void **state)
{
	visit(EDGE_POST, "/badguy/add", "{\"userID\":\"ann\"}");
	visit(EDGE_GET, "/badguy/userid/ann", NULL);
	visit(EDGE_GET, "/validate/sid/s/userid/ann/clientip/198.51.100.7", NULL);
	await_events(3);
	assert_event(0, "", OTHER, REASON(NOT_FOUND));
	assert_event(1, "", READ, REASON(NOT_FOUND));
	assert_event(2, "", READ, REASON(NOT_FOUND));
}

static void the_address_is_the_one_that_is_judged(void **state)
{
	static const uint8_t v4[4] = {198, 51, 100, 7}, v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	struct fake_event event;

	buy("ann", "A", "198.51.100.7");
	buy("ann", "A", "::ffff:198.51.100.7");
	buy("ann", "A", "2001:db8::1");
	await_events(3);
	for (uint32_t i = 0; i < 2; i++) {
		event = fakes_event(&fakes, known + i);
		assert_int_equal(event.address_size, 4);
		assert_memory_equal(event.address, v4, 4);
	}
	event = fakes_event(&fakes, known + 2);
	assert_int_equal(event.address_size, 16);
	assert_memory_equal(event.address, v6, 16);
}

static void times_are_now_and_in_order(void **state)
{
	const int64_t before_us = clock_wall_us();
	int64_t last_us = before_us;

	for (int i = 0; i < 50; i++) {
		buy("ann", "A", "");
		visit(EDGE_GET, "/nothing/here", NULL);
	}
	await_events(100);
	for (uint32_t i = 0; i < 100; i++) {
		const int64_t time_us = fakes_event(&fakes, known + i).time_us;

		assert_true(time_us >= last_us);
		last_us = time_us;
	}
	assert_true(last_us <= clock_wall_us());
}

static bool heard_of_drops(const void *unused)
{
	visit(EDGE_GET, "/nothing/here", NULL);
	return fakes.events_dropped >= 5;
}

static void what_nobody_hears_is_counted(void **state)
{
	fakes_kill(&fakes, FAKE_PROTECTOR);
	for (int i = 0; i < 5; i++)
		visit(EDGE_GET, "/nothing/here", NULL);
	fakes_revive(&fakes, FAKE_PROTECTOR);
	wait_until(heard_of_drops, NULL);
}

/* ---- several protectors ---- */

#define PEOPLE 64

/* Which stream counts what of each person, over all events; 0: none yet. */
struct share {
	uint32_t of_address[PEOPLE], of_account[PEOPLE];
	uint32_t addresses[3], accounts[3]; /* events that a stream counts */
};

static void count_share(uint32_t *owner, uint32_t stream, uint32_t *counted)
{
	assert_in_range(stream, 1, 2);
	if (*owner)
		assert_int_equal(*owner, stream);
	*owner = stream;
	counted[stream]++;
}

static void take_share(struct share *share, const struct fake_event *event)
{
	const int person = atoi(event->user_id + 4);

	if (strncmp(event->user_id, "user", 4) != 0)
		return;
	assert_true(event->counts_address || event->counts_account);
	if (event->counts_address)
		count_share(&share->of_address[person], event->stream, share->addresses);
	if (event->counts_account)
		count_share(&share->of_account[person], event->stream, share->accounts);
}

static bool all_are_counted(const void *into)
{
	struct share *share = (struct share *)(uintptr_t)into;
	const uint32_t count = fakes.events;

	*share = (struct share){0};
	for (uint32_t i = known; i < count; i++) {
		const struct fake_event event = fakes_event(&fakes, i);

		take_share(share, &event);
	}
	return share->addresses[1] + share->addresses[2] >= 3 * PEOPLE &&
	       share->accounts[1] + share->accounts[2] >= 3 * PEOPLE;
}

static void each_address_and_each_account_has_one_protector(void **state)
{
	struct share share;

	for (int i = 0; i < 3 * PEOPLE; i++) {
		char user[16], address[32];

		snprintf(user, sizeof(user), "user%d", i % PEOPLE);
		snprintf(address, sizeof(address), "198.51.100.%d", i % PEOPLE);
		buy(user, "A", address);
	}
	wait_until(all_are_counted, &share);
	for (int stream = 1; stream <= 2; stream++) {
		assert_true(share.addresses[stream] >= 3 * PEOPLE / 8);
		assert_true(share.accounts[stream] >= 3 * PEOPLE / 8);
	}
	assert_int_equal(share.addresses[1] + share.addresses[2], 3 * PEOPLE);
	assert_int_equal(share.accounts[1] + share.accounts[2], 3 * PEOPLE);
}

static bool one_counts_it_all(const void *unused)
{
	const uint32_t before = fakes.events;
	struct fake_event event;
	uint32_t after = before + 1;

	buy("ann", "A", "198.51.100.7");
	wait_until(came, &after);
	event = fakes_event(&fakes, before);
	return event.counts_address && event.counts_account;
}

static void who_is_left_counts_everything(void **state)
{
	fakes_list(&fakes, 1);
	for (int i = 0; i < 10; i++)
		wait_until(one_counts_it_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
		TEST(every_outcome_is_reported),
		TEST(nobody_is_framed_by_what_is_asked_about_them),
		TEST(the_address_is_the_one_that_is_judged),
		TEST(times_are_now_and_in_order),
		TEST(what_nobody_hears_is_counted),
		TEST_TWO(each_address_and_each_account_has_one_protector),
		TEST_TWO(who_is_left_counts_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
