/* protector/analysis_internal.h - what the files of the analysis share; see analysis.h. */
#ifndef FLASHSALE_PROTECTOR_ANALYSIS_INTERNAL_H
#define FLASHSALE_PROTECTOR_ANALYSIS_INTERNAL_H

#include "protector/analysis.h"
#include "protector/distinct.h"
#include "protector/gaps.h"
#include "protector/ladder.h"
#include "protector/mix.h"
#include "protector/nest.h"
#include "protector/window.h"

#define ACCOUNT_ADDRESSES 24 /* that are told apart */
#define PLACE_ACCOUNTS 3     /* that are told apart before the mix is looked at */

/* What comes sooner after a try is one with it: sent before anybody could read an answer, it shows no will to go on in spite of it. So a hundred at once, all
 * refused or throttled, are a few tries; how many requests there are is for the rate detectors to say. */
#define TRY_US INT64_C(100000)

/* What accounts and addresses have in common. A thing of a nest: begins with its hash. Of an address: what names no account. */
struct client {
	uint64_t hash;
	int64_t first_us, last_us;
	struct window requests; /* window of the rate detector */
	uint32_t refusals;	/* tries that were refused, in a row */
	int64_t refused_us;	/* the last of these */
	struct gaps gaps;	/* of an account: between its attempts */
};

struct account {
	struct client client;
	struct window asked, throttled; /* tries; window of DETECTOR_THROTTLED */
	int64_t asked_us;		/* the last of these */
	struct distinct_slot addresses[ACCOUNT_ADDRESSES];
	uint8_t name_length;
	char name[BANS_USER_MAX];
};

struct place { /* an address */
	struct client client;
	struct window named;	/* requests that name an account; window of the rate detector */
	uint32_t even_runs;	/* times in a row that 32 fresh gaps were even */
	uint8_t fresh_gaps;	/* since the gaps were looked at */
	struct distinct_slot accounts[PLACE_ACCOUNTS];
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
	int64_t ahead_us; /* of the machine's clock, which was set back: what comes in is later by it, what goes out earlier */
	struct stepper steppers[DETECTORS];
	struct nest accounts, places, mixes;
	struct nest followed; /* struct member: accounts where programs are among people, beyond the sample */
	struct ladder ladder;
	struct analysis_stats stats;
};

/* One event, made ready. */
struct sighting {
	const struct traffic *traffic;
	uint64_t account, place; /* hashes; 0: none */
	int64_t time_us;	 /* its own, as far as it is believed: for gaps */
	bool attempt;		 /* wants to change something */
	bool refused;		 /* for a reason that is the client's */
};

/* analysis_account.c, analysis_place.c */
void analysis_see_account(struct analysis *analysis, const struct sighting *sighting);
void analysis_see_place(struct analysis *analysis, const struct sighting *sighting, const struct address *address);
/* Starts from nothing. */
void account_forget(struct account *account);
void place_forget(struct analysis *analysis, struct place *place);

/* For the slots of struct distinct: time in units of 65 ms from 1 on, windows in the same. */
static inline uint32_t analysis_unit(const struct analysis *analysis)
{
	return (uint32_t)((analysis->now_us - analysis->base_us) >> 16) + 1;
}
static inline uint32_t analysis_units(int64_t window_us)
{
	return (uint32_t)(window_us >> 16);
}

/* analysis_judge.c: what a detector found about a client. */
struct finding {
	enum detector detector;
	uint32_t value;
	enum rung highest; /* that it may come to */
	struct evidence evidence; /* what the detector adds; value, threshold, window and times are filled in */
};
/* Whether it is worth more words: a threshold is reached. */
bool analysis_suspects(const struct analysis *analysis, enum detector detector, uint32_t value);
/* True: it is a ban that takes effect, the client begins from nothing. */
bool analysis_judge_account(struct analysis *analysis, const struct client *client, struct span name, const struct finding *finding);
bool analysis_judge_place(struct analysis *analysis, const struct place *place, const struct finding *finding);

/* One request in the client's own counts. */
void client_touch(struct analysis *analysis, struct client *client, bool fresh);
void client_count_refusal(struct client *client, bool refused, bool breaks, int64_t now_us, int64_t pause_us);

#endif
