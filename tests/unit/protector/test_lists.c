#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/lists.h"

static struct list_ban ban;

static enum list_line read_line(const char *line)
{
	struct error error;

	free(ban.reason);
	ban = (struct list_ban){.effect = BAN_DENIES, .expire_ms = BANS_NEVER};
	return list_read_line(line, strlen(line), &ban, &error);
}

static void test_plain_text(void **state)
{
	char user[80] = "user:";

	assert_int_equal(read_line("192.0.2.1\n"), LIST_BAN);
	assert_int_equal(ban.subject.kind, BAN_OF_ADDRESS);
	assert_int_equal(ban.effect, BAN_DENIES);
	assert_true(ban.expire_ms == BANS_NEVER);
	assert_int_equal(read_line("  2001:db8::/32  # a comment\r\n"), LIST_BAN);
	assert_int_equal(ban.subject.address.bits, 32);
	assert_int_equal(read_line("user:eve #1\n"), LIST_BAN);
	assert_string_equal(ban.subject.user_id, "eve #1");
	assert_int_equal(read_line(""), LIST_NOTHING);
	assert_int_equal(read_line("\n"), LIST_NOTHING);
	assert_int_equal(read_line("# only a comment\n"), LIST_NOTHING);
	assert_int_equal(read_line("eve\n"), LIST_WRONG);
	assert_int_equal(read_line("user:\n"), LIST_WRONG);
	assert_int_equal(read_line("192.0.2.1 192.0.2.2\n"), LIST_WRONG);
	assert_int_equal(read_line("192.0.2.0/33\n"), LIST_WRONG);
	memset(user + 5, 'x', BANS_USER_MAX);
	assert_int_equal(read_line(user), LIST_BAN);
	user[5 + BANS_USER_MAX] = 'x';
	assert_int_equal(read_line(user), LIST_WRONG);
	assert_int_equal(read_line("user:\xff\n"), LIST_WRONG); /* no text */
}

static void test_json(void **state)
{
	assert_int_equal(
		read_line("{\"userID\":\"eve\",\"reason\":\"probing\",\"effect\":\"BAN_EFFECT_SLOW\","
			  "\"expireMs\":17}\n"),
		LIST_BAN);
	assert_string_equal(ban.subject.user_id, "eve");
	assert_string_equal(ban.reason, "probing");
	assert_int_equal(ban.effect, BAN_SLOWS);
	assert_true(ban.expire_ms == 17);
	assert_int_equal(read_line("{\"address\":\"10.0.0.0/8\",\"expireMs\":0}"), LIST_BAN);
	assert_true(ban.expire_ms == BANS_NEVER);
	assert_null(ban.reason);
	assert_int_equal(
		read_line("{\"address\":\"10.0.0.0/8\",\"source\":\"BAN_SOURCE_DETECTOR\"}"), LIST_OTHERS);
	assert_int_equal(read_line("{\"kind\":\"end\",\"rows\":3}"), LIST_NOTHING);
	assert_int_equal(
		read_line("{\"kind\":\"ban\",\"userID\":\"eve\",\"source\":\"BAN_SOURCE_OPERATOR\"}"),
		LIST_BAN);
	assert_int_equal(read_line("{\"kind\":\"ban\"}"), LIST_WRONG);
	assert_int_equal(read_line("{\"userID\":\"eve\",\"effect\":\"BAN_EFFECT_NONE\"}"), LIST_WRONG);
	/* what an export has of a lifted ban */
	assert_int_equal(read_line("{\"userID\":\"eve\",\"effect\":\"BAN_EFFECT_EXEMPT\"}"), LIST_OTHERS);
	assert_int_equal(read_line("{\"userID\":\"\"}"), LIST_WRONG);
	assert_int_equal(read_line("{\"userID\":\"eve\""), LIST_WRONG);
	assert_int_equal(read_line("{\"address\":\"eve\"}"), LIST_WRONG);
	read_line("");
}

/* Nothing that was meant to say something is passed over: a ban for ever is not what somebody wanted who misspelled its end. */
static void test_what_json_means_is_known(void **state)
{
	static const char *const wrong[] = {
		"{\"userID\":\"eve\",\"expireTime\":\"2030-01-01T00:00:00Z\"}",
		"{\"userID\":\"eve\",\"expireMs\":\"17\"}",
		"{\"userID\":\"eve\",\"expireMs\":17.5}",
		"{\"userID\":\"eve\",\"expireMs\":null}",
		"{\"userID\":\"eve\",\"effect\":2}",
		"{\"userID\":\"eve\",\"reason\":7}",
		"{\"userID\":\"eve\",\"address\":\"192.0.2.1\"}",
		"{\"userID\":\"eve\",\"userID\":\"bob\"}",
		"{\"userID\":7}",
		"[\"userID\"]",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(read_line(wrong[i]), LIST_WRONG);
	assert_int_equal(read_line("{\"kind\":\"ban\",\"banId\":\"b\",\"userID\":\"eve\",\"reason\":\"\","
				   "\"source\":\"BAN_SOURCE_OPERATOR\",\"effect\":\"BAN_EFFECT_DENY\","
				   "\"evidence\":\"\",\"createMs\":1,\"expireMs\":0}"),
		LIST_BAN);
	read_line("");
}

/* What an account is called can't become another line. */
static void test_accounts_that_a_line_can_hold(void **state)
{
	assert_true(list_holds_user("eve"));
	assert_true(list_holds_user("eve # 1, \xc3\xa9"));
	assert_true(list_holds_user(" eve"));
	assert_false(list_holds_user("eve\n0.0.0.0/0"));
	assert_false(list_holds_user("eve\r"));
	assert_false(list_holds_user("eve\x1b[2J"));
	assert_false(list_holds_user("eve "));
}

static void test_effects(void **state)
{
	assert_int_equal(list_effect("deny"), BAN_DENIES);
	assert_int_equal(list_effect("Allow"), BAN_ALLOWS);
	assert_int_equal(list_effect("BAN_EFFECT_CHALLENGE"), BAN_CHALLENGES);
	assert_int_equal(list_effect("exempt"), 0);
	assert_int_equal(list_effect(""), 0);
	for (int effect = BAN_DENIES; effect < BAN_EXEMPTS; effect++)
		assert_int_equal(list_effect(list_effect_name(effect)), effect);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_what_json_means_is_known),
		cmocka_unit_test(test_accounts_that_a_line_can_hold),
		cmocka_unit_test(test_effects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
