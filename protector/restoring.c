#include "protector/restoring.h"

#include "protector/ladder.h"

void restore_exemption(
	struct analysis *analysis, const struct ban_subject *subject, uint32_t detectors, int64_t until_us)
{
	for (enum detector detector = DETECTOR_NONE + 1; detector < DETECTORS; detector++) {
		if (detectors & DETECTOR_BIT(detector))
			analysis_exempt(analysis, subject, detector, until_us);
	}
}

static void restore_exemptions(struct analysis *analysis, const struct bans *bans)
{
	const struct id first = {{0}};

	for (const struct ban *ban = bans_after(bans, &first); ban; ban = bans_after(bans, &ban->id)) {
		if (ban->effect == BAN_EXEMPTS)
			restore_exemption(analysis, &ban->subject, ban->exempts, ban->expire_ms * 1000);
	}
}

static void restore_bans(struct analysis *analysis, const struct bans *bans)
{
	const struct id first = {{0}};

	for (const struct ban *ban = bans_after(bans, &first); ban; ban = bans_after(bans, &ban->id)) {
		if (ban->detection)
			analysis_restore(analysis, ban, ban->detection->detector, ban->detection->repetition);
	}
}

static void restore_ended(void *context, const struct ended_ban *ended)
{
	const bool known = ended->ban.subject.kind == BAN_OF_ACCOUNT || !ended->erased;
	struct ban ban = ended->ban;

	if (!ban.detection || ban.effect != BAN_DENIES || ended->how == BAN_LIFTED || !known)
		return;
	ban.expire_ms = ended->end_ms;
	analysis_restore(context, &ban, ban.detection->detector, ban.detection->repetition);
}

int restore_analysis(struct analysis *analysis, const struct bans *bans, const struct history *history,
	MDB_txn *txn, int64_t now_ms)
{
	/* What has ended before that is forgotten, however often it was. */
	const int64_t known_ms = analysis_settings(analysis)->decay_us / 1000 * LADDER_REPETITION_MAX;
	int rc;

	restore_exemptions(analysis, bans); /* first: they begin a client anew */
	rc = history_since(history, txn, now_ms - known_ms, restore_ended, analysis);
	restore_bans(analysis, bans);
	return rc;
}
