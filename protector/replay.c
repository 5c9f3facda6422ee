#include "protector/replay.h"

#include <string.h>

#include "base/store.h"
#include "protector/recording.h"

struct replayer {
	const struct replay_options *options;
	struct replay_result *result;
	struct analysis *analysis;
	struct bans *bans;
	uint64_t ids;
};

static void on_decided(void *context, const struct decision *decision)
{
	struct replayer *replayer = context;
	const struct replay_options *options = replayer->options;
	struct id id = {{0}}, replaced;

	replayer->result->decisions[decision->effect]++;
	if (options->decided)
		options->decided(options->context, decision);
	if (options->truth)
		truth_hear(options->truth, decision);
	if (decision->effect != BAN_DENIES)
		return;
	store_put_be64(id.bytes + 8, ++replayer->ids);
	bans_put(replayer->bans,
		&(struct ban){.id = id,
			.subject = decision->subject,
			.origin = BAN_BY_OPERATOR,
			.effect = BAN_DENIES,
			.create_ms = decision->create_us / 1000,
			.expire_ms = decision->expire_us / 1000,
			.reason = "",
			.evidence = ""},
		&replaced);
}

static bool banned(const struct replayer *replayer, const struct traffic *traffic)
{
	char name[BANS_USER_MAX + 1];

	if (!bans_count(replayer->bans, BANS_OWN))
		return false;
	if (traffic->user_id.length)
		memcpy(name, traffic->user_id.text, traffic->user_id.length);
	name[traffic->user_id.length] = 0;
	return bans_judge(replayer->bans, name, traffic->has_address ? &traffic->address : NULL,
		       traffic->time_us / 1000)
		       .deny != NULL;
}

static void replay_event(struct replayer *replayer, const struct traffic *traffic)
{
	struct traffic seen = *traffic;

	if (!replayer->result->first_us)
		replayer->result->first_us = seen.time_us;
	replayer->result->last_us = seen.time_us;
	if (replayer->options->truth)
		truth_see(replayer->options->truth, traffic);
	if (banned(replayer, traffic)) {
		seen.reason = COMMON__REASON__REASON_BANNED;
		replayer->result->refused++;
	}
	analysis_take(replayer->analysis, &seen);
}

static bool replay_all(struct replayer *replayer, struct recording_reader *reader, struct error *error)
{
	const struct traffic *events;
	enum recording_result result;
	size_t count;

	while ((result = recording_read(reader, &events, &count, error)) == RECORDING_EVENTS)
		for (size_t i = 0; i < count; i++)
			replay_event(replayer, &events[i]);
	return result == RECORDING_END;
}

bool replay(const struct replay_options *options, struct replay_result *ret, struct error *error)
{
	struct recording_reader *reader = recording_open(options->path, error);
	struct replayer replayer = {.options = options, .result = ret};
	bool good;

	if (!reader)
		return false;
	*ret = (struct replay_result){0};
	replayer.bans = bans_new();
	replayer.analysis = analysis_new(&(struct analysis_options){
		.settings = options->settings, .decided = on_decided, .context = &replayer});
	good = replay_all(&replayer, reader, error);
	ret->stats = analysis_stats(replayer.analysis);
	ret->invalid = recording_invalid(reader);
	ret->dropped = recording_dropped(reader);
	ret->cut = recording_cut(reader);
	if (good && ret->cut && !ret->stats.events && !ret->invalid)
		good = error_set(
			error, "%s is not recorded traffic, or ends within its first message", options->path);
	analysis_free(replayer.analysis);
	bans_free(replayer.bans);
	recording_close(reader);
	return good;
}
