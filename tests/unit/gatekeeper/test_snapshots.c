/* Marks, bans, rules and traces, fed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gatekeeper/edge/ban_feed.h"
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

static int id_count;

/* Ids by short names, ascending as they are first said in a test. */
static const char *id_of(const char *name, bool new)
{
	static char names[64][8], texts[64][BAN_ID_MAX + 1];
	int at = 0;

	while (at < id_count && strcmp(names[at], name) != 0)
		at++;
	if (at == id_count && new) {
		snprintf(names[at], sizeof(names[at]), "%s", name);
		snprintf(texts[at], sizeof(texts[at]), "01890a5d-ac96-774b-bcce-%012d", at);
		id_count++;
	}
	return texts[at];
}

static const char *name_of(const char *id)
{
	static char name[8];

	if (!*id)
		return "";
	for (char letter = 'a'; letter <= 'z'; letter++) {
		for (char digit = '0'; digit <= '9'; digit++) {
			snprintf(name, sizeof(name), "%c%c", letter, digit);
			if (strcmp(id_of(name, false), id) == 0)
				return name;
		}
	}
	return id;
}

static uint32_t source;
static Protector__BanSource made_by;
static char *detector; /* whose ban, or whose bans are lifted */

static void tell_ban(Common__WatchHeader *header, const char *id, const char *user, const char *address,
	int64_t end_ms, Protector__BanEffect effect)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	Protector__Ban ban = PROTECTOR__BAN__INIT, *items[] = {&ban};
	Protector__Detection detection = PROTECTOR__DETECTION__INIT;
	Protector__Exemption exemption = PROTECTOR__EXEMPTION__INIT;
	Google__Protobuf__Timestamp expire;

	timestamp_set(&expire, end_ms);
	detection.detector = detector;
	exemption.detectors = &detector;
	exemption.n_detectors = 1;
	if (effect == PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT)
		ban.exemption = &exemption;
	else if (made_by == PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR)
		ban.detection = &detection;
	ban.ban_id = (char *)(uintptr_t)(id[2] ? id : id_of(id, true));
	ban.source = made_by;
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
	assert_true(ban_list_apply(bans, source, &message));
	ban_list_settle(bans);
}

static void lift(const char *id)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	char *keys[] = {(char *)(uintptr_t)id_of(id, false)};

	message.header = &plain;
	message.n_removed_keys = 1;
	message.removed_keys = keys;
	assert_true(ban_list_apply(bans, source, &message));
	ban_list_settle(bans);
}

static struct ban_verdict judged;

/* "" when welcome, else the ban's id; `judged` says more */
static const char *banned(const char *user, const char *ip, int64_t now_ms)
{
	struct address address;

	if (ip)
		assert_true(address_parse(ip, strlen(ip), &address));
	ban_list_judge(bans, user, ip ? &address : NULL, now_ms, &judged);
	assert_true((judged.effect == BAN_NONE) == !judged.ban_id[0]);
	return name_of(judged.ban_id);
}

static int setup_bans(void **state)
{
	bans = ban_list_new();
	id_count = 0;
	source = 0;
	made_by = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
	detector = (char *)(uintptr_t) "refusals";
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
#define SLOW PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW
#define CHALLENGE PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE

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

static void assert_judged(const char *user, const char *ip, int64_t now_ms, enum ban_grip effect,
	const char *id, bool of_address)
{
	assert_string_equal(banned(user, ip, now_ms), id);
	assert_int_equal(judged.effect, effect);
	assert_int_equal(judged.of_address, of_address);
}

static void test_the_strongest_effect_counts(void **state)
{
	tell_ban(&whole, "s1", "eve", NULL, 0, SLOW);
	tell_ban(&plain, "s2", NULL, "192.0.2.7", 0, SLOW);
	assert_judged("eve", NULL, 0, BAN_SLOW, "s1", false);
	assert_judged("ann", "192.0.2.7", 0, BAN_SLOW, "s2", true);
	assert_judged("eve", "192.0.2.7", 0, BAN_SLOW, "s1", false);
	tell_ban(&plain, "c1", NULL, "192.0.2.0/24", 2000, CHALLENGE);
	assert_judged("eve", "192.0.2.7", 1999, BAN_CHALLENGE, "c1", true);
	assert_judged("eve", "192.0.2.7", 2000, BAN_SLOW, "s1", false);
	tell_ban(&plain, "d1", "eve", NULL, 1000, DENY);
	assert_judged("eve", "192.0.2.7", 999, BAN_DENY, "d1", false);
	assert_judged("eve", "192.0.2.7", 1000, BAN_CHALLENGE, "c1", true);
	tell_ban(&plain, "a1", NULL, "192.0.2.7", 0, ALLOW);
	assert_judged("ann", "192.0.2.7", 0, BAN_NONE, "", false);
	assert_judged("ann", "192.0.2.8", 0, BAN_CHALLENGE, "c1", true);
	assert_judged("eve", "192.0.2.7", 1000, BAN_SLOW, "s1", false);
}

#define EXEMPT PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT
#define BY_DETECTOR PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR
#define BY_SETTING PROTECTOR__BAN_SOURCE__BAN_SOURCE_SETTING

static void test_an_allowed_account(void **state)
{
	tell_ban(&whole, "b1", NULL, "192.0.2.7", 0, DENY);
	made_by = BY_DETECTOR;
	tell_ban(&plain, "e1", "eve", NULL, 0, DENY);
	assert_string_equal(banned("eve", "192.0.2.8", 0), "e1");
	made_by = BY_SETTING;
	tell_ban(&plain, "e2", "eve", NULL, 0, ALLOW);
	assert_string_equal(banned("eve", "192.0.2.8", 0), "");
	assert_string_equal(banned("eve", "192.0.2.7", 0), "b1");
}

static void test_a_persons_word_beats_a_detectors(void **state)
{
	made_by = BY_DETECTOR;
	tell_ban(&whole, "f1", "eve", NULL, 0, DENY);
	made_by = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
	tell_ban(&plain, "f2", "eve", NULL, 1000, SLOW);
	assert_judged("eve", NULL, 999, BAN_SLOW, "f2", false);
	assert_judged("eve", NULL, 1000, BAN_DENY, "f1", false);
	tell_ban(&plain, "f3", "eve", NULL, 1000, SHADOW); /* the newest counts */
	assert_judged("eve", NULL, 999, BAN_NONE, "", false);
}

static void test_what_was_lifted_does_not_count(void **state)
{
	made_by = BY_DETECTOR;
	tell_ban(&whole, "g1", "eve", NULL, 0, DENY);
	source = 3; /* another protector, whose word comes before the ban is taken out */
	made_by = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
	tell_ban(&whole, "g2", "eve", NULL, 1000, EXEMPT);
	assert_judged("eve", NULL, 999, BAN_NONE, "", false);
	assert_judged("eve", NULL, 1000, BAN_DENY, "g1", false);
	source = 0;
	made_by = BY_DETECTOR;
	tell_ban(&plain, "g3", "eve", NULL, 0, CHALLENGE); /* it had not heard of the lift yet */
	assert_judged("eve", NULL, 999, BAN_NONE, "", false);
	detector = (char *)(uintptr_t) "account-rate";
	tell_ban(&plain, "g4", "eve", NULL, 0, SLOW); /* was not lifted */
	assert_judged("eve", NULL, 999, BAN_SLOW, "g4", false);
	made_by = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
	tell_ban(&plain, "g5", "eve", NULL, 0, DENY);
	tell_ban(&plain, "g6", "eve", NULL, 0, EXEMPT); /* of detectors only */
	assert_judged("eve", NULL, 999, BAN_DENY, "g5", false);
	detector = (char *)(uintptr_t) "operator";
	tell_ban(&plain, "g7", "eve", NULL, 0, EXEMPT);
	assert_judged("eve", NULL, 999, BAN_NONE, "", false);
	tell_ban(&plain, "g8", "eve", NULL, 0, SLOW); /* said since */
	assert_judged("eve", NULL, 999, BAN_SLOW, "g8", false);
}

static void test_detectors_that_are_not_known_are_not_lifted(void **state)
{
	char names[BAN_DETECTORS_MAX + 1][16];

	for (int i = 0; i <= BAN_DETECTORS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "detector-%d", i);
		detector = names[i];
		made_by = BY_DETECTOR;
		tell_ban(i ? &plain : &whole, "j1", names[i], NULL, 0, DENY);
		lift("j1");
		tell_ban(&plain, "j2", "eve", NULL, 0, DENY);
		made_by = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
		tell_ban(&plain, "j3", "eve", NULL, 1000, EXEMPT);
		assert_judged("eve", NULL, 999, i < BAN_DETECTORS_MAX ? BAN_NONE : BAN_DENY,
			i < BAN_DETECTORS_MAX ? "" : "j2", false);
	}
}

static void test_a_detector_allows_nobody(void **state)
{
	made_by = BY_DETECTOR;
	tell_ban(&whole, "b1", "eve", NULL, 0, CHALLENGE);
	tell_ban(&plain, "b2", "eve", NULL, 0, ALLOW);
	assert_judged("eve", NULL, 0, BAN_CHALLENGE, "b1", false);
	lift("b1");
	assert_judged("eve", NULL, 0, BAN_NONE, "", false);
}

/* As many lengths of ranges as are not looked at in one go; of two as strong the one that ends last. */
static void test_ranges_of_many_lengths(void **state)
{
	char range[32], id[8];

	tell_ban(&whole, "k0", NULL, "2001:db8::/16", 500, SLOW);
	for (int bits = 12; bits < 32; bits++) {
		snprintf(range, sizeof(range), "192.0.2.7/%d", bits);
		snprintf(id, sizeof(id), "%c%d", bits < 22 ? 'k' : 'l', bits % 10);
		tell_ban(&plain, id, NULL, range, bits == 17 ? 2000 : 1000, bits == 25 ? CHALLENGE : SLOW);
	}
	assert_judged("eve", "192.0.2.7", 999, BAN_CHALLENGE, "l5", true);
	lift("l5");
	assert_judged("eve", "192.0.2.7", 999, BAN_SLOW, "k7", true);
	assert_int_equal(judged.end_ms, 2000);
	tell_ban(&plain, "m1", NULL, "192.0.2.7/1", 0, ALLOW); /* the shortest of all */
	assert_judged("eve", "192.0.2.7", 999, BAN_NONE, "", false);
}

static void test_each_protector_is_a_source(void **state)
{
	tell_ban(&whole, "h1", "eve", NULL, 0, DENY);
	source = 15;
	tell_ban(&whole, "h2", NULL, "192.0.2.0/24", 0, DENY);
	tell_ban(&plain, "h3", "mallory", NULL, 0, DENY);
	assert_string_equal(banned("eve", NULL, 0), "h1");
	assert_string_equal(banned("ann", "192.0.2.7", 0), "h2");
	assert_string_equal(banned("mallory", NULL, 0), "h3");
	assert_int_equal(ban_list_count(bans), 3);
	tell_ban(&whole, "h4", "trudy", NULL, 0, DENY); /* all that this one has now */
	assert_string_equal(banned("eve", NULL, 0), "h1");
	assert_string_equal(banned("ann", "192.0.2.7", 0), "");
	assert_string_equal(banned("trudy", NULL, 0), "h4");
	assert_int_equal(ban_list_count(bans), 2);
	source = 0;
	lift("h4"); /* is not its own */
	assert_string_equal(banned("trudy", NULL, 0), "h4");
}

/* As many as make every part grow, put in and taken out. */
static void test_many(void **state)
{
	char user[32], id[BAN_ID_MAX + 1], *keys[] = {id};
	Protector__WatchBansResponse removal = PROTECTOR__WATCH_BANS_RESPONSE__INIT;

	tell_ban(&begin, "i1", "eve", NULL, 0, DENY);
	for (int i = 0; i < 20000; i++) {
		if (i == 10000)
			tell_ban(&end, "i2", "eve", NULL, 0, DENY);
		snprintf(id, sizeof(id), "01890a5d-ac96-774b-bcce-1%011d", i);
		snprintf(user, sizeof(user), i % 2 ? "user-%d" : "10.%d.%d.0/24", i % 2 ? i : i / 256 % 256,
			i % 256);
		tell_ban(&plain, id, i % 2 ? user : NULL, i % 2 ? NULL : user, 0, DENY);
	}
	assert_int_equal(ban_list_count(bans), 20002);
	ban_list_judge(bans, "user-19999", NULL, 0, &judged);
	assert_int_equal(judged.effect, BAN_DENY);
	removal.header = &plain;
	removal.n_removed_keys = 1;
	removal.removed_keys = keys;
	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "01890a5d-ac96-774b-bcce-1%011d", i);
		assert_true(ban_list_apply(bans, 0, &removal));
		if (i % 1000 == 999) {
			ban_list_settle(bans);
			assert_int_equal(ban_list_count(bans), 20001 - i);
		}
	}
	ban_list_judge(bans, "user-19999", NULL, 0, &judged);
	assert_int_equal(judged.effect, BAN_NONE);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void take_when_let(void *context, const struct ban_bundle *bundle)
{
	pthread_mutex_lock(&held);
	pthread_mutex_unlock(&held);
}

static void test_what_does_not_fit_must_come_anew(void **state)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	const size_t many = BAN_WAITING_MAX / 4;
	struct ban_feed *feed = ban_feed_new(take_when_let, NULL);
	char **keys = calloc(many, sizeof(*keys));
	int taken = 0;

	for (size_t i = 0; i < many; i++)
		keys[i] = (char *)(uintptr_t)id_of("j1", true);
	message.header = &plain;
	message.removed_keys = keys;
	message.n_removed_keys = many;
	pthread_mutex_lock(&held);
	while (taken < 10 && ban_feed_put(feed, 0, &message))
		taken++;
	pthread_mutex_unlock(&held);
	assert_in_range(taken, 4, 5);
	ban_feed_settle(feed);
	assert_true(ban_feed_put(feed, 0, &message));
	ban_feed_free(feed);
	free(keys);
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

/* What is taken out while a snapshot comes is not in it; what comes before the first is of no use. */
static void test_changes_while_a_snapshot_comes(void **state)
{
	Protector__WatchBansResponse heartbeat = PROTECTOR__WATCH_BANS_RESPONSE__INIT;

	tell_ban(&plain, "b1", "eve", NULL, 0, DENY);
	tell_ban(&end, "b2", "eve", NULL, 0, DENY);
	lift("b1");
	assert_string_equal(banned("eve", NULL, 0), "");
	tell_ban(&begin, "b3", "mallory", NULL, 0, DENY);
	lift("b3");
	heartbeat.header = &plain;
	assert_true(ban_list_apply(bans, source, &heartbeat));
	tell_ban(&begin, "b4", "trudy", NULL, 0, DENY); /* anew */
	tell_ban(&plain, "b5", "eve", NULL, 0, DENY);
	lift("b4");
	assert_int_equal(ban_list_count(bans), 0);
	tell_ban(&end, "b6", "mallory", NULL, 0, SLOW);
	assert_string_equal(banned("trudy", NULL, 0), "");
	assert_string_equal(banned("eve", NULL, 0), "b5");
	assert_judged("mallory", NULL, 0, BAN_SLOW, "b6", false);
	assert_int_equal(ban_list_count(bans), 2);
	ban_list_free(NULL);
}

static void test_what_no_ban_can_be_is_left_out(void **state)
{
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	Protector__Ban nobody = PROTECTOR__BAN__INIT, *items[] = {&nobody};
	char long_name[BAN_USER_MAX + 2];

	memset(long_name, 'e', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	nobody.ban_id = (char *)(uintptr_t)id_of("b9", true);
	message.header = &whole;
	message.items = items;
	message.n_items = 1;
	assert_true(ban_list_apply(bans, source, &message));
	tell_ban(&plain, "b1", long_name, NULL, 0, DENY);
	tell_ban(&plain, "b2", "", NULL, 0, DENY);
	assert_int_equal(ban_list_count(bans), 0);
	assert_string_equal(banned(long_name, "192.0.2.1", 0), "");
	assert_string_equal(banned("", NULL, 0), "");
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
		BANS(test_the_strongest_effect_counts),
		BANS(test_an_allowed_account),
		BANS(test_a_persons_word_beats_a_detectors),
		BANS(test_what_was_lifted_does_not_count),
		BANS(test_detectors_that_are_not_known_are_not_lifted),
		BANS(test_a_detector_allows_nobody),
		BANS(test_ranges_of_many_lengths),
		BANS(test_each_protector_is_a_source),
		BANS(test_many),
		BANS(test_what_does_not_fit_must_come_anew),
		BANS(test_bans_bite_while_a_snapshot_comes),
		BANS(test_changes_while_a_snapshot_comes),
		BANS(test_what_no_ban_can_be_is_left_out),
		cmocka_unit_test(test_the_closest_rule_counts),
		cmocka_unit_test(test_a_rule_without_a_limit_is_none),
		cmocka_unit_test(test_traces),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
