/* protector/ladder.h - what was decided about whom, and what comes next: slow, challenge, ban.
 *
 * A client that is on a step already hears nothing more until the step ends or a higher one is found; then it starts from where its traffic puts it. A ban lasts twice as long as
 * the one before it: repetition counts bans, one is forgotten for each decay time without a further one. A detector that was told to leave a client
 * alone decides nothing about it. What a detector in shadow would have decided is kept apart, and touches nothing of the rest.
 * Keeps as many clients as there are places; whose memory reaches least far into the future gives way. Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_LADDER_H
#define FLASHSALE_PROTECTOR_LADDER_H

#include "protector/detectors.h"
#include "protector/nest.h"

#define LADDER_REPETITION_MAX 30 /* of doublings: longer than any longest ban */

enum rung { RUNG_NONE, RUNG_SLOW, RUNG_CHALLENGE, RUNG_BAN };
static inline enum ban_effect rung_effect(enum rung rung)
{
	static const enum ban_effect effects[] = {0, BAN_SLOWS, BAN_CHALLENGES, BAN_DENIES};

	return effects[rung];
}

/* RUNG_NONE: of what is no step, as a shadow. */
static inline enum rung effect_rung(enum ban_effect effect)
{
	for (enum rung rung = RUNG_SLOW; rung <= RUNG_BAN; rung++)
		if (rung_effect(rung) == effect)
			return rung;
	return RUNG_NONE;
}

struct ladder {
	const struct detector_settings *settings;
	struct nest records;
};

struct ladder_step {
	int64_t expire_us;
	uint32_t repetition; /* bans before */
};

void ladder_init(struct ladder *ladder, const struct detector_settings *settings, size_t records_max);
void ladder_release(struct ladder *ladder);

/* A detector found that the client belongs on that rung. True: that is news, *ret says for how long. */
bool ladder_climb(struct ladder *ladder, uint64_t client, enum detector detector, enum rung rung,
	int64_t now_us, struct ladder_step *ret);
/* A person lifted a decision: that detector decides nothing until then, and a ban that was lifted counts for no repetition. */
void ladder_exempt(struct ladder *ladder, uint64_t client, enum detector detector, int64_t until_us);
/* What was found about it does not take effect: it may be found again after a pause, and counts for no repetition. */
void ladder_revoke(struct ladder *ladder, uint64_t client, enum rung rung, int64_t now_us);
/* As decided before the program's start. */
void ladder_restore(struct ladder *ladder, uint64_t client, enum rung rung, int64_t create_us, int64_t expire_us,
	uint32_t repetition);
/* The rung that is in force. */
enum rung ladder_rung(const struct ladder *ladder, uint64_t client, int64_t now_us);

#endif
