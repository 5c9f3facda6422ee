/* protector/analysis_judge.c - from what a detector found to a decision. */
#include <string.h>

#include "protector/analysis_internal.h"

static bool reaches(uint32_t threshold, uint32_t value)
{
	return threshold && value >= threshold;
}

bool analysis_suspects(const struct analysis *analysis, enum detector detector, uint32_t value)
{
	const struct detector_setting *setting = &analysis->settings.of[detector];

	return setting->enabled && (reaches(setting->slow, value) || reaches(setting->challenge, value) ||
					   reaches(setting->ban, value));
}

/* The highest rung that the value reaches and the finding allows; a finding that may not ban as high as it reaches does what is allowed. */
static enum rung rung_of(
	const struct detector_setting *setting, const struct finding *finding, uint32_t *ret_threshold)
{
	const uint32_t steps[] = {[RUNG_SLOW] = setting->slow,
		[RUNG_CHALLENGE] = setting->challenge,
		[RUNG_BAN] = setting->ban};

	for (int rung = RUNG_BAN; rung > RUNG_NONE; rung--)
		if (reaches(steps[rung], finding->value)) {
			*ret_threshold = steps[rung];
			return (enum rung)rung < finding->highest ? (enum rung)rung : finding->highest;
		}
	return RUNG_NONE;
}

static bool judge(struct analysis *analysis, const struct client *client, const struct ban_subject *subject,
	const struct finding *finding)
{
	const struct detector_setting *setting = &analysis->settings.of[finding->detector];
	struct decision decision = {.detector = finding->detector,
		.create_us = analysis->now_us - analysis->ahead_us,
		.evidence = finding->evidence};
	const enum rung rung = rung_of(setting, finding, &decision.evidence.threshold);
	struct ladder_step step;

	if (rung == RUNG_NONE || !ladder_climb(&analysis->ladder, client->hash, finding->detector, rung,
					 analysis->now_us, &step))
		return false;
	decision.subject = *subject;
	decision.step = rung_effect(rung);
	decision.effect = setting->shadow ? BAN_SHADOWS : decision.step;
	decision.expire_us = step.expire_us - analysis->ahead_us;
	decision.repetition = step.repetition;
	decision.evidence.window_us = setting->window_us;
	decision.evidence.value = finding->value;
	decision.evidence.first_us = client->first_us - analysis->ahead_us;
	decision.evidence.last_us = client->last_us - analysis->ahead_us;
	analysis->stats.decisions[finding->detector]++;
	analysis->decided(analysis->context, &decision);
	return decision.effect == BAN_DENIES;
}

bool analysis_judge_account(struct analysis *analysis, const struct client *client, struct span name,
	const struct finding *finding)
{
	struct ban_subject subject = {.kind = BAN_OF_ACCOUNT};

	memcpy(subject.user_id, name.text, name.length);
	return judge(analysis, client, &subject, finding);
}

bool analysis_judge_place(struct analysis *analysis, const struct place *place, const struct finding *finding)
{
	const struct ban_subject subject = {.kind = BAN_OF_ADDRESS, .address = place->address};

	return judge(analysis, &place->client, &subject, finding);
}

void client_touch(struct analysis *analysis, struct client *client, bool fresh)
{
	if (fresh)
		client->first_us = analysis->now_us;
	client->last_us = analysis->now_us;
}

void client_count_refusal(struct client *client, bool refused, bool breaks, int64_t now_us, int64_t pause_us)
{
	if (now_us - client->refused_us > pause_us)
		client->refusals = 0;
	if (breaks) {
		client->refusals = 0;
	} else if (refused && now_us - client->refused_us >= TRY_US) {
		client->refusals++;
		client->refused_us = now_us;
	}
}
