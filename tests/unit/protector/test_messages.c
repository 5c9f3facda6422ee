#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/messages.h"
#include "rpc/timestamp.h"
#include "tests/unit/protector/make_ban.h"

static struct arena arena;
static struct bans *bans;

static int setup(void **state)
{
	arena_init(&arena, 4096, 1 << 20);
	bans = bans_new();
	return 0;
}

static int teardown(void **state)
{
	arena_release(&arena);
	bans_free(bans);
	return 0;
}

#define NOW_MS 5000

static Protector__CreateBanRequest account_request(void)
{
	Protector__CreateBanRequest request = PROTECTOR__CREATE_BAN_REQUEST__INIT;

	request.subject_case = PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_USER_ID;
	request.user_id = (char *)(uintptr_t) "mallory";
	return request;
}

static Protector__CreateBanRequest address_request(const char *address)
{
	Protector__CreateBanRequest request = PROTECTOR__CREATE_BAN_REQUEST__INIT;

	request.subject_case = PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_ADDRESS;
	request.address = (char *)(uintptr_t)address;
	return request;
}

static const char *refused_field(const Protector__CreateBanRequest *request)
{
	struct ban ban;

	return ban_from_request(request, NOW_MS, &ban).field;
}

static void test_a_ban_from_a_request(void **state)
{
	Protector__CreateBanRequest request = account_request();
	Google__Protobuf__Timestamp end;
	struct ban ban;

	assert_null(ban_from_request(&request, NOW_MS, &ban).field);
	assert_string_equal(ban.subject.user_id, "mallory");
	assert_int_equal(ban.origin, BAN_BY_OPERATOR);
	assert_int_equal(ban.effect, BAN_DENIES);
	assert_int_equal(ban.create_ms, NOW_MS);
	assert_true(ban.expire_ms == BANS_NEVER);
	request = address_request("::ffff:10.0.0.9/104");
	request.effect = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW;
	request.expire_time = &end;
	timestamp_set(&end, NOW_MS + 1);
	assert_null(ban_from_request(&request, NOW_MS, &ban).field);
	assert_true(address_is_v4(&ban.subject.address));
	assert_int_equal(ban.subject.address.bits, ADDRESS_BITS - 32 + 8);
	assert_int_equal(ban.effect, BAN_SHADOWS);
	assert_int_equal(ban.expire_ms, NOW_MS + 1);
	request.effect = PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW;
	assert_null(ban_from_request(&request, NOW_MS, &ban).field);
	assert_int_equal(ban.effect, BAN_ALLOWS);
	request.effect = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW;
	assert_null(ban_from_request(&request, NOW_MS, &ban).field);
	assert_int_equal(ban.effect, BAN_SLOWS);
	request.effect = PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE;
	assert_null(ban_from_request(&request, NOW_MS, &ban).field);
	assert_int_equal(ban.effect, BAN_CHALLENGES);
}

static void test_each_field_is_named(void **state)
{
	Protector__CreateBanRequest request = PROTECTOR__CREATE_BAN_REQUEST__INIT;
	char reason[BANS_REASON_MAX + 2], user[BANS_USER_MAX + 2];
	Google__Protobuf__Timestamp end;

	assert_string_equal(refused_field(&request), "user_id");
	request = account_request();
	request.user_id = (char *)(uintptr_t) "";
	assert_string_equal(refused_field(&request), "user_id");
	memset(user, 'x', sizeof(user));
	user[sizeof(user) - 1] = '\0';
	request.user_id = user;
	assert_string_equal(refused_field(&request), "user_id");
	user[BANS_USER_MAX] = '\0';
	assert_null(refused_field(&request));
	request = address_request("10.0.0.0/33");
	assert_string_equal(refused_field(&request), "address");
	request = account_request();
	request.effect = 77;
	assert_string_equal(refused_field(&request), "effect");
	request = account_request();
	memset(reason, 'x', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	request.reason = reason;
	assert_string_equal(refused_field(&request), "reason");
	request = account_request();
	request.expire_time = &end;
	timestamp_set(&end, NOW_MS);
	assert_string_equal(refused_field(&request), "expire_time");
	end.seconds = TIMESTAMP_SECONDS_MAX + 1;
	assert_string_equal(refused_field(&request), "expire_time");
}

static void test_a_ban_message(void **state)
{
	struct ban ban = make_ban(1, "10.1.2.3/8", BAN_DENIES, BANS_NEVER);
	const Protector__Ban *message;

	message = message_ban(&arena, &ban);
	assert_int_equal(message->subject_case, PROTECTOR__BAN__SUBJECT_ADDRESS);
	assert_string_equal(message->address, "10.0.0.0/8");
	assert_string_equal(message->ban_id, "00000000-0000-0000-0000-000000000001");
	assert_int_equal(message->source, PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR);
	assert_int_equal(message->effect, PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY);
	assert_null(message->expire_time);
	ban = make_ban(2, "mallory", BAN_SHADOWS, 1500);
	ban.origin = BAN_BY_DETECTOR;
	message = message_ban(&arena, message_keep(&arena, &ban));
	ban.subject.user_id[0] = 'M';
	assert_string_equal(message->user_id, "mallory");
	assert_string_equal(message->reason, "why");
	assert_int_equal(message->source, PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR);
	assert_int_equal(message->expire_time->seconds, 1);
	assert_int_equal(message->expire_time->nanos, 500000000);
	assert_int_equal(message->state, PROTECTOR__BAN_STATE__BAN_STATE_IN_FORCE);
	assert_null(message->end_time);
}

static void test_a_message_of_one_that_is_over(void **state)
{
	struct ended_ban ended = {
		.ban = make_ban(1, "10.1.2.3", BAN_DENIES, 9), .how = BAN_EXPIRED, .end_ms = 2500};
	const Protector__Ban *message = message_ended(&arena, &ended);

	assert_int_equal(message->state, PROTECTOR__BAN_STATE__BAN_STATE_EXPIRED);
	assert_int_equal(message->end_time->seconds, 2);
	assert_string_equal(message->address, "10.1.2.3");
	assert_string_equal(message->replaced_by, "");
	ended.how = BAN_REPLACED;
	ended.replaced_by = make_id(2);
	ended.erased = true;
	memset(ended.subject_hash, 0x0f, sizeof(ended.subject_hash));
	message = message_ended(&arena, &ended);
	assert_int_equal(message->state, PROTECTOR__BAN_STATE__BAN_STATE_REPLACED);
	assert_string_equal(message->replaced_by, "00000000-0000-0000-0000-000000000002");
	assert_int_equal(message->subject_case, PROTECTOR__BAN__SUBJECT_ADDRESS_HASH);
	assert_string_equal(message->address_hash, "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f");
	ended.ban = make_ban(1, "mallory", BAN_DENIES, 9);
	ended.how = BAN_LIFTED;
	message = message_ended(&arena, &ended);
	assert_int_equal(message->state, PROTECTOR__BAN_STATE__BAN_STATE_LIFTED);
	assert_string_equal(message->user_id, "mallory");
}

static void test_an_allowance(void **state)
{
	Protector__CreateAllowanceRequest request = PROTECTOR__CREATE_ALLOWANCE_REQUEST__INIT;
	const Protector__Allowance *message;
	Google__Protobuf__Timestamp end;
	struct ban ban = {0};

	assert_string_equal(allowance_from_request(&request, NOW_MS, &ban).field, "user_id");
	request.subject_case = PROTECTOR__CREATE_ALLOWANCE_REQUEST__SUBJECT_USER_ID;
	request.user_id = (char *)(uintptr_t) "alice";
	request.reason = (char *)(uintptr_t) "our own";
	request.expire_time = &end;
	timestamp_set(&end, NOW_MS);
	assert_string_equal(allowance_from_request(&request, NOW_MS, &ban).field, "expire_time");
	timestamp_set(&end, NOW_MS + 1000);
	assert_null(allowance_from_request(&request, NOW_MS, &ban).field);
	assert_int_equal(ban.effect, BAN_ALLOWS);
	ban.id = make_id(7);
	message = message_allowance(&arena, &ban);
	assert_int_equal(message->subject_case, PROTECTOR__ALLOWANCE__SUBJECT_USER_ID);
	assert_string_equal(message->user_id, "alice");
	assert_string_equal(message->reason, "our own");
	assert_string_equal(message->allowance_id, "00000000-0000-0000-0000-000000000007");
	assert_int_equal(message->expire_time->seconds, NOW_MS / 1000 + 1);
	request.subject_case = PROTECTOR__CREATE_ALLOWANCE_REQUEST__SUBJECT_ADDRESS;
	request.address = (char *)(uintptr_t) "10.1.2.3/33";
	assert_string_equal(allowance_from_request(&request, NOW_MS, &ban).field, "address");
	request.address = (char *)(uintptr_t) "10.1.2.3/8";
	request.expire_time = NULL;
	assert_null(allowance_from_request(&request, NOW_MS, &ban).field);
	message = message_allowance(&arena, &ban);
	assert_string_equal(message->address, "10.0.0.0/8");
	assert_null(message->expire_time);
}

static Protector__ClientOutcome judge(
	const char *user_id, const char *client_ip, int64_t now_ms, enum outcome *ret_outcome)
{
	Protector__ClientCheck check = PROTECTOR__CLIENT_CHECK__INIT;
	Protector__ClientOutcome outcome;

	check.user_id = (char *)(uintptr_t)user_id;
	check.client_ip = (char *)(uintptr_t)client_ip;
	assert_true(message_outcome(&arena, bans, &check, now_ms, &outcome, ret_outcome));
	return outcome;
}

static void check_invalid(const char *user_id, const char *client_ip, const char *field)
{
	enum outcome kind;
	Protector__ClientOutcome outcome = judge(user_id, client_ip, 0, &kind);

	assert_int_equal(kind, OUTCOME_INVALID);
	assert_int_equal(outcome.outcome_case, PROTECTOR__CLIENT_OUTCOME__OUTCOME_REFUSAL);
	assert_int_equal(outcome.refusal->reason, COMMON__REASON__REASON_INVALID);
	assert_string_equal(outcome.refusal->field, field);
}

static void put(uint64_t number, const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	struct ban ban = make_ban(number, subject, effect, expire_ms);
	struct id replaced;

	bans_put(bans, &ban, &replaced);
}

static void test_outcomes(void **state)
{
	Protector__ClientOutcome outcome;
	enum outcome kind;
	char user[BANS_USER_MAX + 2];

	put(1, "mallory", BAN_DENIES, 1500);
	put(2, "10.0.0.0/8", BAN_DENIES, BANS_NEVER);
	put(3, "shady", BAN_SHADOWS, BANS_NEVER);
	outcome = judge("mallory", "192.0.2.1", 0, &kind);
	assert_int_equal(kind, OUTCOME_BANNED);
	assert_int_equal(outcome.outcome_case, PROTECTOR__CLIENT_OUTCOME__OUTCOME_BAN);
	assert_string_equal(outcome.ban->ban_id, "00000000-0000-0000-0000-000000000001");
	assert_int_equal(outcome.ban->expire_time->seconds, 1);
	outcome = judge("", "10.0.0.1", 0, &kind);
	assert_int_equal(kind, OUTCOME_BANNED);
	assert_null(outcome.ban->expire_time);
	outcome = judge("mallory", "", 1500, &kind);
	assert_int_equal(kind, OUTCOME_WELCOME);
	assert_int_equal(outcome.outcome_case, PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME);
	assert_non_null(outcome.welcome);
	outcome = judge("shady", "192.0.2.1", 0, &kind);
	assert_int_equal(kind, OUTCOME_SHADOWED);
	assert_int_equal(outcome.outcome_case, PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME);
	check_invalid("", "", "user_id");
	check_invalid("mallory", "192.0.2", "client_ip");
	check_invalid("u", "10.0.0.0/8", "client_ip");
	memset(user, 'x', sizeof(user));
	user[sizeof(user) - 1] = '\0';
	check_invalid(user, "192.0.2.1", "user_id");
}

static void test_a_full_arena_is_told(void **state)
{
	Protector__ClientCheck check = PROTECTOR__CLIENT_CHECK__INIT;
	struct ban ban = make_ban(1, "mallory", BAN_DENIES, 1500);
	Protector__ClientOutcome outcome;
	enum outcome kind;
	struct arena tiny;

	put(1, "mallory", BAN_DENIES, 1500);
	arena_init(&tiny, 32, 32);
	check.user_id = (char *)(uintptr_t) "mallory";
	assert_false(message_outcome(&tiny, bans, &check, 0, &outcome, &kind));
	assert_null(message_ban(&tiny, &ban));
	assert_null(message_keep(&tiny, &ban));
	assert_null(message_allowance(&tiny, &ban));
	check.user_id = (char *)(uintptr_t) "";
	assert_false(message_outcome(&tiny, bans, &check, 0, &outcome, &kind));
	check.user_id = (char *)(uintptr_t) "fine"; /* a welcome needs no memory */
	assert_true(message_outcome(&tiny, bans, &check, 0, &outcome, &kind));
	arena_release(&tiny);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_ban_from_a_request),
		TEST(test_each_field_is_named),
		TEST(test_a_ban_message),
		TEST(test_a_message_of_one_that_is_over),
		TEST(test_an_allowance),
		TEST(test_outcomes),
		TEST(test_a_full_arena_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
