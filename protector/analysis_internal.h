/* protector/analysis_internal.h - what the files of the analysis share; see analysis.h. */
#ifndef FLASHSALE_PROTECTOR_ANALYSIS_INTERNAL_H
#define FLASHSALE_PROTECTOR_ANALYSIS_INTERNAL_H

#include "protector/analysis.h"
#include "protector/ladder.h"
#include "protector/nest.h"
#include "protector/window.h"

/* What accounts and addresses have in common. A thing of a nest: begins with its hash. */
struct client {
	uint64_t hash;
	int64_t first_us, last_us;
	struct window requests; /* window of the rate detector */
};

struct account {
	struct client client;
	uint8_t name_length;
	char name[BANS_USER_MAX];
};

struct place { /* an address */
	struct client client;
	struct address address;
};

/* The present step of a window's ring, kept so that an event needs no division. */
struct stepper {
	int64_t slot_us; /* an eighth of the window */
	int64_t next_us; /* when the step ends */
	uint32_t step;
};

struct analysis {
	struct detector_settings settings;
	void (*decided)(void *context, const struct decision *decision);
	void *context;
	uint64_t seed;
	int64_t now_us;	 /* never goes back; 0: nothing was heard yet */
	int64_t base_us; /* the first time that was heard: steps count from there */
	int64_t tick_us; /* the last tick; 0: none */
	struct stepper steppers[DETECTORS];
	struct nest accounts, places;
	struct ladder ladder;
	struct analysis_stats stats;
};

#endif
