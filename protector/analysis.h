/* protector/analysis.h - traffic goes in, decisions come out.
 *
 * Pure: no clock, no network, no log. Time is what the events say: it never goes backwards, and once analysis_tick has told the time of this machine no event can
 * carry it more than ANALYSIS_SKEW_US past that. A tick that goes back (the machine's clock was set) moves what comes after it
 * by as much: time goes on, and what is told is in the machine's time. The same events, ticks and seed give the same decisions, which is what `flashsale-protector replay` rests on.
 * Memory is what the options say, whatever the number of clients: who was least active gives way (analysis_stats.evicted), and is then counted anew, from zero.
 * Requests that were refused because of a ban feed no detector. What an address sends in the name of accounts is judged by the mix of these: where they are programs, the address; where
 * people are too, each account by what it does itself. What names no account is counted by address, and gets it banned only if it comes so evenly that it can be one sender's.
 * Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_ANALYSIS_H
#define FLASHSALE_PROTECTOR_ANALYSIS_H

#include "protector/detectors.h"
#include "protector/traffic.h"

#define ANALYSIS_SKEW_US INT64_C(2000000)

struct analysis;

struct analysis_options {
	size_t accounts_max, addresses_max; /* clients that are counted at once; 0: the standard */
	size_t mixes_max;		    /* addresses whose accounts are looked at, at once; 0: the standard */
	size_t followed_max;		    /* accounts that are looked at one by one beyond those of the samples; 0: the standard */
	size_t records_max;		    /* clients whose decisions are remembered; 0: the standard */
	uint64_t seed;			    /* of the hashes: chosen at random, nobody can aim at another's place */
	const struct detector_settings *settings; /* copied; NULL: the standard */
	/* Within analysis_take and analysis_tick; the decision is valid for the call. Calls nothing of the analysis. */
	void (*decided)(void *context, const struct decision *decision);
	void *context;
};

struct analysis *analysis_new(const struct analysis_options *options);
void analysis_free(struct analysis *analysis); /* NULL is fine */

void analysis_take(struct analysis *analysis, const struct traffic *traffic);
void analysis_tick(struct analysis *analysis, int64_t now_us); /* about each 100 ms */

/* Takes effect for the next event; counts go on, but those of a detector whose window changed begin anew. False: nothing was changed. */
bool analysis_configure(struct analysis *analysis, const struct detector_settings *settings, struct error *error);
const struct detector_settings *analysis_settings(const struct analysis *analysis);

/* A client whose decision was lifted: that detector leaves it alone until then (settings: exempt_us after the lifting), and starts from nothing. */
void analysis_exempt(
	struct analysis *analysis, const struct ban_subject *subject, enum detector detector, int64_t until_us);
/* A decision that does not take effect: a person said otherwise, or it could not be stored. If the traffic goes on it is made again, some seconds later. */
void analysis_revoke(struct analysis *analysis, const struct ban_subject *subject, enum ban_effect effect);
/* At start: a detector's ban that is in force or was, so that it is not made again and repetition is known. */
void analysis_restore(
	struct analysis *analysis, const struct ban *ban, enum detector detector, uint32_t repetition);

/* The heaviest clients of a kind by requests in the last seconds (window of the rate detector), heaviest first. Looks at all: for operators, not for each event. */
struct top_client {
	struct ban_subject subject;
	uint32_t requests, throttled, refusals; /* in the window; in the window; in a row: the latter two as struct evidence has them */
	uint32_t distinct;			/* accounts of an address, addresses of an account */
	enum ban_effect effect;			/* the last step that is still in force, BAN_DENIES... ; 0: none */
	int64_t first_us, last_us;
};
size_t analysis_top(const struct analysis *analysis, enum ban_kind kind, struct top_client *to, size_t max);

struct analysis_stats {
	uint64_t events;    /* taken */
	uint64_t ignored;   /* refused because of a ban, or counted elsewhere */
	uint64_t clamped;   /* whose time was not believed */
	uint64_t evicted;   /* clients that gave way to others */
	uint64_t unjudged;  /* addresses with many accounts that found no room to be looked at closer; they are never banned */
	uint64_t decisions[DETECTORS]; /* those in shadow too */
	size_t accounts, addresses, mixes, records; /* in use */
};
struct analysis_stats analysis_stats(const struct analysis *analysis);

#endif
