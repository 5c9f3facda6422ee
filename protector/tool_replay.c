/* tool_replay.c - `flashsale-protector replay FILE`: whom the detectors would have banned, and why. */
#include "protector/tool_replay.h"

#include <ctype.h>
#include <stdio.h>

#include "base/clock.h"
#include "protector/replay.h"

struct replay_settings {
	char *truth;
	bool sums;
};

static const struct config_setting replay_table[] = {
	{"truth", CONFIG_TEXT, offsetof(struct replay_settings, truth), NULL, true, 0, 0,
		"who was good and who bad: adds a table of who was caught and who was wronged, by kind"},
	{"sums", CONFIG_SWITCH, offsetof(struct replay_settings, sums), "false", false, 0, 0,
		"only the sums, not each decision"},
};

static const char *effect_name(enum ban_effect effect)
{
	static const char *const names[BAN_EFFECTS] = {[BAN_DENIES] = "ban",
		[BAN_SHADOWS] = "shadow",
		[BAN_SLOWS] = "slow",
		[BAN_CHALLENGES] = "challenge"};

	return names[effect];
}

/* A shopper chooses what an account is called: it makes no lines of its own here, and says nothing to the terminal. */
static const char *printable(const char *user_id, char to[BANS_USER_MAX + 1])
{
	size_t at = 0;

	for (; user_id[at]; at++)
		to[at] = iscntrl((unsigned char)user_id[at]) ? '?' : user_id[at];
	to[at] = '\0';
	return to;
}

/* One line: when after the first event, what, whom, for how long, why. */
static void print_decision(void *context, const struct decision *decision)
{
	const struct replay_result *result = context;
	char storage[BANS_EVIDENCE_MAX + 1], address[ADDRESS_TEXT_MAX], user[BANS_USER_MAX + 1];
	struct text why;
	const bool account = decision->subject.kind == BAN_OF_ACCOUNT;

	text_init_fixed(&why, storage, sizeof(storage));
	decision_evidence(decision, &why);
	printf("%10.3f s  %-9s  %s %s  for %lld s: %s\n",
		(double)(decision->create_us - result->first_us) / 1e6, effect_name(decision->effect),
		account ? "account" : "address",
		account ? printable(decision->subject.user_id, user)
			: address_format(&decision->subject.address, address),
		(long long)((decision->expire_us - decision->create_us) / 1000000), why.data);
}

static void print_sums(const struct replay_result *result, int64_t ns)
{
	const struct analysis_stats *stats = &result->stats;

	printf("%llu events over %.1f s, analysed in %.2f s: %.0f a second\n",
		(unsigned long long)stats->events, (double)(result->last_us - result->first_us) / 1e6,
		(double)ns / 1e9, (double)stats->events * 1e9 / (double)(ns ? ns : 1));
	printf("%llu bans, %llu challenges, %llu slowed, %llu in shadow; %llu events would have been "
	       "refused\n",
		(unsigned long long)result->decisions[BAN_DENIES],
		(unsigned long long)result->decisions[BAN_CHALLENGES],
		(unsigned long long)result->decisions[BAN_SLOWS],
		(unsigned long long)result->decisions[BAN_SHADOWS], (unsigned long long)result->refused);
	if (result->invalid || result->dropped)
		printf("%llu events could not be read, %llu had been dropped by their senders\n",
			(unsigned long long)result->invalid, (unsigned long long)result->dropped);
	if (result->cut)
		printf("the recording ends within a message\n");
	if (stats->evicted || stats->unjudged)
		printf("%llu clients gave way to others, %llu addresses were not looked at closer\n",
			(unsigned long long)stats->evicted, (unsigned long long)stats->unjudged);
}

static int run_replay(const struct tool_call *call)
{
	const struct replay_settings *settings = call->own;
	struct replay_result result = {0};
	struct replay_options options = {.path = call->path, .context = &result};
	struct error error;
	int64_t begin_ns;
	bool good;

	if (!call->path)
		return tool_end(call, TOOL_CANNOT, "a file must be given: see --help");
	if (settings->truth) {
		options.truth = truth_read(settings->truth, &error);
		if (!options.truth)
			return tool_end(call, TOOL_CANNOT, "%s", error.text);
	}
	if (!settings->sums)
		options.decided = print_decision;
	begin_ns = clock_mono_ns();
	good = replay(&options, &result, &error);
	if (good || result.stats.events)
		print_sums(&result, clock_mono_ns() - begin_ns);
	if (good && options.truth)
		truth_print(options.truth, stdout);
	truth_free(options.truth);
	return good ? TOOL_FINE : tool_end(call, TOOL_CANNOT, "%s", error.text);
}

const struct service_tool tool_replay = {.name = "replay",
	.purpose = "recorded traffic through the detectors: whom they would have banned, and why",
	.path = "FILE",
	.settings = replay_table,
	.settings_count = sizeof(replay_table) / sizeof(replay_table[0]),
	.settings_bytes = sizeof(struct replay_settings),
	.run = run_replay};
