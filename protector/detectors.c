#include "protector/detectors.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "protector/mix.h"

#define SECONDS(n) ((int64_t)(n)*1000000)
#define PERCENT_MAX 100
#define DURATION_MIN_US SECONDS(1)
#define DURATION_MAX_US SECONDS(400 * 86400)

/* docs/protector.md says where each number comes from. */
const struct detector_info detector_infos[DETECTORS] = {
	[DETECTOR_NONE] = {.name = ""},
	[DETECTOR_ACCOUNT_RATE] = {.name = "account-rate",
		.purpose = "requests of one account",
		.unit = "requests in the window",
		.highest = 100000,
		.standard = {true, false, SECONDS(10), 0, 210, 230, 250}},
	[DETECTOR_ADDRESS_RATE] = {.name = "address-rate",
		.purpose = "requests of one address that name no account",
		.unit = "requests in the window",
		.highest = 100000,
		.standard = {true, false, SECONDS(5), 0, 250, 300, 350}},
	[DETECTOR_ADDRESS_ACCOUNTS] = {.name = "address-accounts",
		.purpose =
			"accounts of one address that only try to buy, when nearly all of its accounts do so",
		.unit = "accounts in the window",
		.highest = 1000000,
		.standard = {true, false, SECONDS(300), 0, 0, 1000, 0}},
	[DETECTOR_ADDRESS_MIX] = {.name = "address-mix",
		.purpose = "what part of the accounts of one address behave like programs",
		.unit = "percent of the accounts in the window",
		.highest = PERCENT_MAX,
		.least_max = MIX_MEMBERS,
		.standard = {true, false, SECONDS(60), 10, 0, 30, 80}},
	[DETECTOR_ACCOUNT_ADDRESSES] = {.name = "account-addresses",
		.purpose = "addresses that one account comes from",
		.unit = "addresses in the window",
		.highest = 24,
		.standard = {true, false, SECONDS(60), 0, 6, 10, 16}},
	[DETECTOR_REFUSALS] = {.name = "refusals",
		.purpose = "refusals in a row, a tenth of a second apart or more, with no pause as long as "
			   "the window",
		.unit = "refusals",
		.highest = 1000000,
		.standard = {true, false, SECONDS(60), 0, 90, 120, 250}},
	[DETECTOR_THROTTLED] = {.name = "throttled",
		.purpose = "share of an account's requests, a tenth of a second apart or more, that were "
			   "throttled",
		.unit = "percent of the requests in the window",
		.highest = PERCENT_MAX,
		.least_max = 100000,
		.standard = {true, false, SECONDS(10), 60, 60, 90, 0}},
	[DETECTOR_REGULARITY] = {.name = "regularity",
		.purpose = "how even the last 32 gaps between an account's attempts are",
		.unit = "percent: 100 less the gaps' coefficient of variation",
		.highest = PERCENT_MAX,
		.standard = {true, true, SECONDS(600), 0, 75, 85, 95}},
};

enum detector detector_find(const char *name, size_t length)
{
	for (enum detector i = DETECTOR_NONE + 1; i < DETECTORS; i++)
		if (strlen(detector_infos[i].name) == length &&
			memcmp(detector_infos[i].name, name, length) == 0)
			return i;
	return DETECTOR_NONE;
}

void detector_settings_standard(struct detector_settings *settings)
{
	*settings = (struct detector_settings){.slow_us = SECONDS(30),
		.challenge_us = SECONDS(120),
		.ban_us = SECONDS(300),
		.ban_longest_us = SECONDS(86400),
		.decay_us = SECONDS(3600),
		.exempt_us = SECONDS(3600)};
	for (int i = DETECTOR_NONE + 1; i < DETECTORS; i++)
		settings->of[i] = detector_infos[i].standard;
}

#define STEPS 3

/* Steps that are not left out ascend, and can be counted to. */
static bool check_steps(const struct detector_info *info, const struct detector_setting *setting,
	const char **ret_field, struct error *error)
{
	static const char *const names[STEPS] = {"slow", "challenge", "ban"};
	const uint32_t steps[STEPS] = {setting->slow, setting->challenge, setting->ban};
	uint32_t before = 0;

	for (int i = 0; i < STEPS; i++) {
		*ret_field = names[i];
		if (steps[i] > info->highest)
			return error_set(error, "%s: the highest threshold is %u (%s)", info->name,
				info->highest, info->unit);
		if (steps[i] && steps[i] <= before)
			return error_set(error,
				"%s: slow, challenge and ban must ascend (0 leaves a step out); they are %u, "
				"%u, %u",
				info->name, setting->slow, setting->challenge, setting->ban);
		before = steps[i] ? steps[i] : before;
	}
	return true;
}

static bool check_one(const struct detector_info *info, const struct detector_setting *setting,
	const char **ret_field, struct error *error)
{
	*ret_field = "window";
	if (setting->window_us < DETECTOR_WINDOW_MIN_US || setting->window_us > DETECTOR_WINDOW_MAX_US)
		return error_set(error, "%s: the window must be 1 second to 10 minutes", info->name);
	*ret_field = "least";
	if (setting->least > info->least_max)
		return error_set(error,
			info->least_max ? "%s: at most %u" : "%s looks at every client: at most %u",
			info->name, info->least_max);
	return check_steps(info, setting, ret_field, error);
}

static const struct {
	const char *field, *what;
	size_t offset;
} durations[] = {
	{"slow", "the time of slowing", offsetof(struct detector_settings, slow_us)},
	{"challenge", "the time of challenging", offsetof(struct detector_settings, challenge_us)},
	{"ban", "the first ban", offsetof(struct detector_settings, ban_us)},
	{"ban_longest", "the longest ban", offsetof(struct detector_settings, ban_longest_us)},
	{"decay", "the time of decay", offsetof(struct detector_settings, decay_us)},
	{"exempt", "the time of exemption", offsetof(struct detector_settings, exempt_us)},
};

static bool check_durations(
	const struct detector_settings *settings, const char **ret_field, struct error *error)
{
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		const int64_t us =
			*(const int64_t *)(const void *)((const char *)settings + durations[i].offset);

		*ret_field = durations[i].field;
		if (us < DURATION_MIN_US || us > DURATION_MAX_US)
			return error_set(error, "%s must be 1 second to 400 days", durations[i].what);
	}
	*ret_field = "ban_longest";
	if (settings->ban_longest_us < settings->ban_us)
		return error_set(error, "the longest ban is shorter than the first");
	return true;
}

bool detector_settings_check(
	const struct detector_settings *settings, const char **ret_field, struct error *error)
{
	for (int i = DETECTOR_NONE + 1; i < DETECTORS; i++)
		if (!check_one(&detector_infos[i], &settings->of[i], ret_field, error))
			return false;
	return check_durations(settings, ret_field, error);
}

/* "163 requests", "92 % of 100 accounts ...", ... */
static void say_value(const struct decision *decision, struct text *text)
{
	const struct evidence *seen = &decision->evidence;

	assert(decision->detector > DETECTOR_NONE && decision->detector < DETECTORS);
	switch (decision->detector) {
	case DETECTOR_ACCOUNT_RATE:
	case DETECTOR_ADDRESS_RATE:
		text_appendf(text, "%u requests", seen->value);
		return;
	case DETECTOR_ADDRESS_ACCOUNTS:
		text_appendf(text, "%u accounts that only try to buy", seen->value);
		return;
	case DETECTOR_ADDRESS_MIX:
		if (decision->subject.kind == BAN_OF_ACCOUNT)
			text_appendf(text,
				"behaves like a program, as %u %% of %u accounts of its address do",
				seen->value, seen->accounts);
		else
			text_appendf(text, "%u %% of %u accounts behave like programs", seen->value,
				seen->accounts);
		return;
	case DETECTOR_ACCOUNT_ADDRESSES:
		text_appendf(text, "%u addresses", seen->value);
		return;
	case DETECTOR_REFUSALS:
		text_appendf(text, "%u refusals in a row", seen->value);
		return;
	case DETECTOR_THROTTLED:
		text_appendf(text, "%u %% of %u requests throttled", seen->value, seen->requests);
		return;
	case DETECTOR_REGULARITY:
	case DETECTOR_NONE: /* not here */
	case DETECTORS:
		text_appendf(text, "gaps that vary by %u %% only", seen->variation);
		return;
	}
}

/* A window in seconds, with as many decimals as it needs. */
static void say_seconds(int64_t us, struct text *text)
{
	if (us % SECONDS(1) == 0)
		text_appendf(text, "%lld s", (long long)(us / SECONDS(1)));
	else
		text_appendf(text, "%lld ms", (long long)(us / 1000));
}

void decision_reason(const struct decision *decision, struct text *text)
{
	text_appendf(text, "%s: ", detector_infos[decision->detector].name);
	say_value(decision, text);
	if (decision->detector != DETECTOR_REGULARITY && decision->detector != DETECTOR_REFUSALS) {
		text_append_string(text, " in ");
		say_seconds(decision->evidence.window_us, text);
	}
}

static void say_count(struct text *text, const char *name, uint32_t count)
{
	if (count)
		text_appendf(text, ", %s %u", name, count);
}

void decision_evidence(const struct decision *decision, struct text *text)
{
	const struct evidence *seen = &decision->evidence;

	decision_reason(decision, text);
	text_appendf(text, "; threshold %u (%s)", seen->threshold, detector_infos[decision->detector].unit);
	say_count(text, "requests", seen->requests);
	say_count(text, "throttled", seen->throttled);
	say_count(text, "refusals in a row", seen->refusals);
	say_count(text, "accounts", seen->accounts);
	say_count(text, "percent of them like programs", seen->suspects);
	say_count(text, "addresses", seen->addresses);
	say_count(text, "bans before", decision->repetition);
	text_append_string(text, "; active for ");
	say_seconds((seen->last_us - seen->first_us) / 1000 * 1000, text);
}
