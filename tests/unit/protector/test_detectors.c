#include "tests/unit/protector/cmocka_first.h"

#include "protector/detectors.h"

static struct detector_settings standard(void)
{
	struct detector_settings settings;

	detector_settings_standard(&settings);
	return settings;
}

static void refuse(const struct detector_settings *settings, const char *wanted, const char *word)
{
	const char *field = NULL;
	struct error error;

	assert_false(detector_settings_check(settings, &field, &error));
	assert_string_equal(field, wanted);
	assert_non_null(strstr(error.text, word));
}

static void test_names(void **state)
{
	for (enum detector i = DETECTOR_NONE + 1; i < DETECTORS; i++)
		assert_int_equal(detector_find(detector_infos[i].name, strlen(detector_infos[i].name)), i);
	assert_int_equal(detector_find("account-rat", 11), DETECTOR_NONE);
	assert_int_equal(detector_find("account-ratf", 12), DETECTOR_NONE);
	assert_int_equal(detector_find("", 0), DETECTOR_NONE);
}

static void test_the_standard_is_allowed(void **state)
{
	const struct detector_settings settings = standard();

	const char *field;

	assert_true(detector_settings_check(&settings, &field, NULL));
	assert_true(settings.of[DETECTOR_REGULARITY].shadow);
}

static void test_what_cannot_be(void **state)
{
	struct detector_settings settings = standard();

	settings.of[DETECTOR_REFUSALS].window_us = DETECTOR_WINDOW_MIN_US - 1;
	refuse(&settings, "window", "refusals: the window");
	settings.of[DETECTOR_REFUSALS].window_us = DETECTOR_WINDOW_MAX_US + 1;
	refuse(&settings, "window", "refusals: the window");
	settings = standard();
	settings.of[DETECTOR_ACCOUNT_RATE].challenge = settings.of[DETECTOR_ACCOUNT_RATE].slow;
	refuse(&settings, "challenge", "ascend");
	settings = standard();
	settings.of[DETECTOR_ADDRESS_MIX].ban = 101;
	refuse(&settings, "ban", "highest threshold is 100");
	settings = standard();
	settings.of[DETECTOR_ADDRESS_MIX] = (struct detector_setting){true, false, 5000000, 0, 101, 0, 0};
	refuse(&settings, "slow", "highest");
	settings.of[DETECTOR_ADDRESS_MIX] = (struct detector_setting){true, false, 5000000, 0, 0, 101, 0};
	refuse(&settings, "challenge", "highest");
	settings.of[DETECTOR_ADDRESS_MIX] = (struct detector_setting){true, false, 5000000, 0, 0, 0, 0};
	settings.of[DETECTOR_ADDRESS_MIX].least = 129;
	refuse(&settings, "least", "at most 128");
	settings = standard();
	settings.of[DETECTOR_ACCOUNT_RATE].least = 1; /* which would change nothing */
	refuse(&settings, "least", "every client");
	settings = standard();
	settings.of[DETECTOR_ACCOUNT_RATE].challenge = 0;
	settings.of[DETECTOR_ACCOUNT_RATE].slow = settings.of[DETECTOR_ACCOUNT_RATE].ban;
	refuse(&settings, "ban", "ascend");
}

static void test_times_that_cannot_be(void **state)
{
	struct detector_settings settings = standard();
	int64_t *const times[] = {&settings.slow_us, &settings.challenge_us, &settings.ban_us,
		&settings.ban_longest_us, &settings.decay_us, &settings.exempt_us};

	static const char *const fields[] = {"slow", "challenge", "ban", "ban_longest", "decay", "exempt"};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		*times[i] = 999999;
		refuse(&settings, fields[i], "must be 1 second");
		*times[i] = INT64_MAX;
		refuse(&settings, fields[i], "400 days");
		settings = standard();
	}
	settings.ban_longest_us = settings.ban_us - 1;
	refuse(&settings, "ban_longest", "shorter than the first");
}

static void check_words_about(
	enum ban_kind kind, enum detector detector, const char *reason, const char *evidence)
{
	const struct decision decision = {.subject.kind = kind,
		.detector = detector,
		.repetition = 2,
		.evidence = {.window_us = detector == DETECTOR_THROTTLED ? 2500000 : 5000000,
			.value = 92,
			.threshold = 90,
			.requests = 163,
			.refusals = 7,
			.throttled = 11,
			.accounts = 40,
			.suspects = 92,
			.addresses = 17,
			.variation = 8,
			.first_us = 1000000,
			.last_us = 4250500}};
	char storage[BANS_EVIDENCE_MAX + 1];
	struct text text;

	text_init_fixed(&text, storage, BANS_REASON_MAX + 1);
	decision_reason(&decision, &text);
	assert_string_equal(text.data, reason);
	text_init_fixed(&text, storage, sizeof(storage));
	decision_evidence(&decision, &text);
	assert_false(text.overflowed);
	assert_non_null(strstr(text.data, reason));
	assert_non_null(strstr(text.data, evidence));
	assert_non_null(strstr(text.data, "bans before 2; active for 3250 ms"));
}

static void check_words(enum detector detector, const char *reason, const char *evidence)
{
	const bool address = strncmp(detector_infos[detector].name, "address-", strlen("address-")) == 0;

	check_words_about(address ? BAN_OF_ADDRESS : BAN_OF_ACCOUNT, detector, reason, evidence);
}

static void test_words(void **state)
{
	check_words(DETECTOR_ACCOUNT_RATE, "account-rate: 92 requests in 5 s",
		"threshold 90 (requests in the window)");
	check_words(DETECTOR_ADDRESS_RATE, "address-rate: 92 requests in 5 s", "requests 163");
	check_words(DETECTOR_ADDRESS_ACCOUNTS, "address-accounts: 92 accounts that only try to buy in 5 s",
		"accounts 40");
	check_words(DETECTOR_ADDRESS_MIX, "address-mix: 92 % of 40 accounts behave like programs in 5 s",
		"percent of them like programs 92");
	check_words_about(BAN_OF_ACCOUNT, DETECTOR_ADDRESS_MIX,
		"address-mix: behaves like a program, as 92 % of 40 accounts of its address do in 5 s",
		"accounts 40");
	check_words(DETECTOR_ACCOUNT_ADDRESSES, "account-addresses: 92 addresses in 5 s", "addresses 17");
	check_words(DETECTOR_REFUSALS, "refusals: 92 refusals in a row", "refusals in a row 7");
	check_words(
		DETECTOR_THROTTLED, "throttled: 92 % of 163 requests throttled in 2500 ms", "throttled 11");
	check_words(DETECTOR_REGULARITY, "regularity: gaps that vary by 8 % only", "100 less the gaps'");
}

static void test_words_for_little(void **state)
{
	const struct decision decision = {.detector = DETECTOR_REFUSALS,
		.evidence = {.value = 60, .threshold = 60, .window_us = 60000000}};
	char storage[BANS_EVIDENCE_MAX + 1];
	struct text text;

	text_init_fixed(&text, storage, sizeof(storage));
	decision_evidence(&decision, &text);
	assert_string_equal(
		text.data, "refusals: 60 refusals in a row; threshold 60 (refusals); active for 0 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_the_standard_is_allowed),
		cmocka_unit_test(test_what_cannot_be),
		cmocka_unit_test(test_times_that_cannot_be),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_for_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
