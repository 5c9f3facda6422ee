/* Marks, bans, rules and traces, fed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "gatekeeper/edge/ban_list.h"
#include "gatekeeper/edge/rule_list.h"
#include "gatekeeper/edge/stock_marks.h"
#include "gatekeeper/edge/trace.h"
#include "rpc/timestamp.h"

static Common__WatchHeader plain = COMMON__WATCH_HEADER__INIT, whole = COMMON__WATCH_HEADER__INIT,
			   begin = COMMON__WATCH_HEADER__INIT, end = COMMON__WATCH_HEADER__INIT;

static int setup(void **state)
{
	whole.snapshot_begin = whole.snapshot_end = begin.snapshot_begin = end.snapshot_end = true;
	return 0;
}

/* ---- marks ---- */

static void tell_stock(struct stock_marks *marks, int32_t shard, Common__WatchHeader *header, const char *sku,
	uint64_t available, bool closed)
{
	Inventory__WatchStockResponse message = INVENTORY__WATCH_STOCK_RESPONSE__INIT;
	Inventory__StockMark mark = INVENTORY__STOCK_MARK__INIT, *items[] = {&mark};

	mark.sku = (char *)(uintptr_t)sku;
	mark.available = available;
	mark.closed = closed;
	message.header = header;
	message.items = items;
	message.n_items = sku != NULL;
	stock_marks_apply(marks, shard, &message);
}

static void test_marks_follow_their_stream(void **state)
{
	struct stock_marks *marks = stock_marks_new(2);
	Inventory__WatchStockResponse removal = INVENTORY__WATCH_STOCK_RESPONSE__INIT;
	char *gone[] = {(char *)"A", (char *)"never"};

	assert_int_equal(stock_marks_get(marks, "A"), STOCK_UNKNOWN);
	tell_stock(marks, 0, &whole, "A", 0, false);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_SOLD_OUT);
	tell_stock(marks, 0, &plain, "A", 1, false);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_AVAILABLE);
	tell_stock(marks, 0, &plain, "A", 1, true);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_CLOSED);
	removal.header = &plain;
	removal.n_removed_keys = 2;
	removal.removed_keys = gone;
	stock_marks_apply(marks, 0, &removal);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_UNKNOWN);
	stock_marks_free(marks);
}

static void test_a_snapshot_replaces_its_own_shard_only(void **state)
{
	struct stock_marks *marks = stock_marks_new(2);

	tell_stock(marks, 0, &begin, "A", 0, false);
	tell_stock(marks, 1, &begin, "X", 0, false);
	tell_stock(marks, 0, &end, "B", 0, false);
	tell_stock(marks, 1, &end, "Y", 0, false);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_SOLD_OUT);
	tell_stock(marks, 0, &begin, "C", 0, false);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_SOLD_OUT);
	tell_stock(marks, 0, &end, NULL, 0, false);
	assert_int_equal(stock_marks_get(marks, "A"), STOCK_UNKNOWN);
	assert_int_equal(stock_marks_get(marks, "B"), STOCK_UNKNOWN);
	assert_int_equal(stock_marks_get(marks, "C"), STOCK_SOLD_OUT);
	assert_int_equal(stock_marks_get(marks, "X"), STOCK_SOLD_OUT);
	assert_int_equal(stock_marks_get(marks, "Y"), STOCK_SOLD_OUT);
	stock_marks_free(marks);
}

/* ---- bans ---- */

static struct ban_list *bans;

static void tell_ban(Common__WatchHeader *header, const char *id, const char *user, const char *address,
	int64_t end_ms, Protector__BanEffect effect)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	Protector__Ban ban = PROTECTOR__BAN__INIT, *items[] = {&ban};
	Google__Protobuf__Timestamp expire;

	timestamp_set(&expire, end_ms);
	ban.ban_id = (char *)(uintptr_t)id;
	ban.subject_case = user ? PROTECTOR__BAN__SUBJECT_USER_ID : PROTECTOR__BAN__SUBJECT_ADDRESS;
	if (user)
		ban.user_id = (char *)(uintptr_t)user;
	else
		ban.address = (char *)(uintptr_t)address;
	ban.expire_time = end_ms ? &expire : NULL;
	ban.effect = effect;
	message.header = header;
	message.items = items;
	message.n_items = 1;
	ban_list_apply(bans, &message);
}

static void lift(const char *id)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	char *keys[] = {(char *)(uintptr_t)id};

	message.header = &plain;
	message.n_removed_keys = 1;
	message.removed_keys = keys;
	ban_list_apply(bans, &message);
}

/* "" when welcome, else the ban's id */
static const char *banned(const char *user, const char *ip, int64_t now_ms)
{
	static struct ban_notice notice;
	struct address address;

	if (ip)
		assert_true(address_parse(ip, strlen(ip), &address));
	notice.ban_id[0] = 0;
	return ban_list_find(bans, user, ip ? &address : NULL, now_ms, &notice) ? notice.ban_id : "";
}

static int setup_bans(void **state)
{
	bans = ban_list_new();
	return 0;
}

static int teardown_bans(void **state)
{
	ban_list_free(bans);
	return 0;
}

#define DENY PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY
#define SHADOW PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW
#define ALLOW PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW

static void test_accounts_and_addresses(void **state)
{
	tell_ban(&whole, "b1", "eve", NULL, 0, DENY);
	tell_ban(&plain, "b2", NULL, "192.0.2.7", 0, DENY);
	tell_ban(&plain, "b3", NULL, "198.51.100.0/24", 0, DENY);
	tell_ban(&plain, "b4", NULL, "2001:db8::/32", 0, DENY);
	assert_string_equal(banned("eve", NULL, 0), "b1");
	assert_string_equal(banned("ev", "192.0.2.8", 0), "");
	assert_string_equal(banned("ann", "192.0.2.7", 0), "b2");
	assert_string_equal(banned("ann", "::ffff:192.0.2.7", 0), "b2");
	assert_string_equal(banned("ann", "198.51.100.255", 0), "b3");
	assert_string_equal(banned("ann", "198.51.101.0", 0), "");
	assert_string_equal(banned("ann", "2001:db8:ffff::1", 0), "b4");
	assert_string_equal(banned("ann", "2001:db9::1", 0), "");
	lift("b3");
	assert_string_equal(banned("ann", "198.51.100.255", 0), "");
	tell_ban(&plain, "b5", NULL, "::/0", 0, DENY); /* IPv6 whole, and nobody of IPv4 */
	assert_string_equal(banned("ann", "2001:db9::1", 0), "b5");
	assert_string_equal(banned("ann", "198.51.100.255", 0), "");
	assert_string_equal(banned("ann", "192.0.2.7", 0), "b2");
}

static void test_bans_end_by_themselves(void **state)
{
	tell_ban(&whole, "b1", "eve", NULL, 1000, DENY);
	assert_string_equal(banned("eve", NULL, 999), "b1");
	assert_string_equal(banned("eve", NULL, 1000), "");
	tell_ban(&plain, "b2", "eve", NULL, 2000, DENY);
	assert_string_equal(banned("eve", NULL, 999), "b2");
	lift("b2");
	assert_string_equal(banned("eve", NULL, 999), "b1");
}

static void test_the_allow_list_wins_over_addresses(void **state)
{
	tell_ban(&whole, "b1", NULL, "192.0.2.7", 0, DENY);
	tell_ban(&plain, "b2", "eve", NULL, 0, DENY);
	tell_ban(&plain, "a1", NULL, "192.0.0.0/16", 5000, ALLOW);
	assert_string_equal(banned("ann", "192.0.2.7", 0), "");
	assert_string_equal(banned("eve", "192.0.2.7", 0), "b2");
	assert_string_equal(banned("ann", "192.0.2.7", 5000), "b1");
	lift("a1");
	assert_string_equal(banned("ann", "192.0.2.7", 0), "b1");
}

static void test_shadows_refuse_nobody(void **state)
{
	tell_ban(&whole, "b1", "eve", NULL, 0, SHADOW);
	assert_string_equal(banned("eve", NULL, 0), "");
	tell_ban(&plain, "b1", "eve", NULL, 0, DENY);
	assert_string_equal(banned("eve", NULL, 0), "b1");
}

static void test_bans_bite_while_a_snapshot_comes(void **state)
{
	tell_ban(&whole, "b1", "eve", NULL, 0, DENY);
	tell_ban(&begin, "b2", "mallory", NULL, 0, DENY);
	assert_string_equal(banned("eve", NULL, 0), "b1");
	tell_ban(&end, "b3", "trudy", NULL, 0, DENY);
	assert_string_equal(banned("eve", NULL, 0), "");
	assert_string_equal(banned("mallory", NULL, 0), "b2");
	assert_string_equal(banned("trudy", NULL, 0), "b3");
}

static void test_what_no_ban_can_be_is_left_out(void **state)
{
	tell_ban(&whole, "b1", NULL, "not an address", 0, DENY);
	tell_ban(&plain, "0123456789012345678901234567890123456789012345678901234567890123456789", "eve",
		NULL, 0, DENY);
	assert_string_equal(banned("eve", "192.0.2.1", 0), "");
}

/* ---- rules ---- */

static struct rule_list *rules;

static void tell_rule(Common__WatchHeader *header, const char *sku, int32_t level, uint32_t units)
{
	Policy__WatchPoliciesResponse message = POLICY__WATCH_POLICIES_RESPONSE__INIT;
	Policy__Policy rule = POLICY__POLICY__INIT, *items[] = {&rule};
	Common__Limit limit = COMMON__LIMIT__INIT;
	Common__Unlimited unlimited = COMMON__UNLIMITED__INIT;

	limit.kind_case = units ? COMMON__LIMIT__KIND_UNITS : COMMON__LIMIT__KIND_UNLIMITED;
	if (units)
		limit.units = units;
	else
		limit.unlimited = &unlimited;
	rule.sku = (char *)(uintptr_t)sku;
	rule.user_level = level;
	rule.limit = &limit;
	message.header = header;
	message.items = items;
	message.n_items = 1;
	rule_list_apply(rules, &message);
}

static int64_t limit_of(const char *sku, int32_t level)
{
	struct rule rule;

	if (!rule_list_find(rules, sku, level, &rule))
		return -1;
	return rule.unlimited ? 0 : rule.units;
}

static void test_the_closest_rule_counts(void **state)
{
	Policy__WatchPoliciesResponse removal = POLICY__WATCH_POLICIES_RESPONSE__INIT;
	char *keys[] = {(char *)"A/5", (char *)"nonsense", (char *)"A/"};

	rules = rule_list_new();
	assert_int_equal(limit_of("A", 5), -1);
	tell_rule(&whole, "*", -1, 1);
	tell_rule(&plain, "*", 5, 2);
	tell_rule(&plain, "A", -1, 3);
	tell_rule(&plain, "A", 5, 0);
	assert_int_equal(limit_of("A", 5), 0);
	assert_int_equal(limit_of("A", 4), 3);
	assert_int_equal(limit_of("B", 5), 2);
	assert_int_equal(limit_of("B", 4), 1);
	removal.header = &plain;
	removal.n_removed_keys = 3;
	removal.removed_keys = keys;
	rule_list_apply(rules, &removal);
	assert_int_equal(limit_of("A", 5), 3);
	tell_rule(&whole, "A", 4, 9);
	assert_int_equal(limit_of("A", 4), 9);
	assert_int_equal(limit_of("A", 5), -1);
	rule_list_free(rules);
}

/* Absent never means unlimited. */
static void test_a_rule_without_a_limit_is_none(void **state)
{
	Policy__WatchPoliciesResponse message = POLICY__WATCH_POLICIES_RESPONSE__INIT;
	Policy__Policy rule = POLICY__POLICY__INIT, *items[] = {&rule};
	Common__Limit limit = COMMON__LIMIT__INIT;

	rules = rule_list_new();
	rule.sku = (char *)"A";
	message.header = &whole;
	message.items = items;
	message.n_items = 1;
	rule_list_apply(rules, &message);
	assert_int_equal(limit_of("A", 0), -1);
	rule.limit = &limit;
	rule_list_apply(rules, &message);
	assert_int_equal(limit_of("A", 0), -1);
	rule_list_free(rules);
}

/* ---- traces ---- */

static void test_traces(void **state)
{
	static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	static const char *const bad[] = {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
		"00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
		"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"};
	struct trace one, other;
	char text[TRACE_ID_LENGTH + 1];
	struct trace_maker maker;

	trace_maker_init(&maker);
	trace_take(&maker, good, strlen(good), &one);
	assert_string_equal(one.text, good);
	assert_memory_equal(
		one.id, "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36", TRACE_ID_BYTES);
	trace_take(&maker, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-new", 59, &one);
	assert_string_equal(one.text, good);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		trace_take(&maker, bad[i], strlen(bad[i]), &one);
		trace_take(&maker, one.text, strlen(one.text), &other);
		assert_string_equal(other.text, one.text);
		assert_memory_equal(other.id, one.id, TRACE_ID_BYTES);
		trace_id_format(one.id, TRACE_ID_BYTES, text);
		assert_memory_equal(one.text + TRACE_ID_OFFSET, text, TRACE_ID_LENGTH);
		assert_string_not_equal(text, "4bf92f3577b34da6a3ce929d0e0e4736");
	}
	trace_take(&maker, NULL, 0, &one);
	trace_take(&maker, NULL, 0, &other);
	assert_string_not_equal(one.text, other.text);
}

int main(void)
{
#define BANS(name) cmocka_unit_test_setup_teardown(name, setup_bans, teardown_bans)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks_follow_their_stream),
		cmocka_unit_test(test_a_snapshot_replaces_its_own_shard_only),
		BANS(test_accounts_and_addresses),
		BANS(test_bans_end_by_themselves),
		BANS(test_the_allow_list_wins_over_addresses),
		BANS(test_shadows_refuse_nobody),
		BANS(test_bans_bite_while_a_snapshot_comes),
		BANS(test_what_no_ban_can_be_is_left_out),
		cmocka_unit_test(test_the_closest_rule_counts),
		cmocka_unit_test(test_a_rule_without_a_limit_is_none),
		cmocka_unit_test(test_traces),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
