/* protector/replay.h - recorded traffic through the detectors, at full speed: whom they would have banned, and why.
 *
 * What a banned client sent while its ban would have been in force counts as refused because of it, at once: as at a gatekeeper that hears of a ban without delay.
 * Clients that would have been slowed or challenged go on as they did. Time is the recording's. Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_REPLAY_H
#define FLASHSALE_PROTECTOR_REPLAY_H

#include "protector/analysis.h"
#include "protector/truth.h"

struct replay_options {
	const char *path;
	const struct detector_settings *settings; /* NULL: the standard */
	struct truth *truth;			  /* NULL: nothing is known */
	/* Each decision, in the order of time; may be NULL. */
	void (*decided)(void *context, const struct decision *decision);
	void *context;
};

struct replay_result {
	struct analysis_stats stats;
	uint64_t decisions[BAN_EFFECTS]; /* by effect */
	uint64_t refused;	 /* events of clients while their ban was in force */
	uint64_t invalid, dropped; /* recording.h */
	bool cut;
	int64_t first_us, last_us; /* of the events */
};

/* False: the recording can't be read, or not to its end; *ret says what came of it until then, nothing if it can't be opened. */
bool replay(const struct replay_options *options, struct replay_result *ret, struct error *error);

#endif
