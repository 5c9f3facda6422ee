/* protector/detectors.h - what is watched, from which thresholds on, and what a decision says.
 *
 * A detector looks at one number of a client over a window, and has three thresholds: from `slow` on the client gets a tighter limit, from `challenge` on a proof of work
 * comes first, from `ban` on it is refused; 0 leaves a step out. The number is never more than what truly happened within the window, so that an
 * approximation can spare a client but not accuse one; how much it may be short is said in docs/protector.md, with each detector's source.
 * A client is an account or an address; of IPv6 a client is its /64, which one household has to itself.
 * Pure data: any thread. */
#ifndef FLASHSALE_PROTECTOR_DETECTORS_H
#define FLASHSALE_PROTECTOR_DETECTORS_H

#include "base/error.h"
#include "base/text.h"
#include "protector/bans.h"

/* Stored and reported by name (detector_info); the numbers never leave the process. */
enum detector {
	DETECTOR_NONE,		    /* not one of ours: an operator's word */
	DETECTOR_ACCOUNT_RATE,	    /* requests of an account */
	DETECTOR_ADDRESS_RATE,	    /* requests of an address that name no account */
	DETECTOR_ADDRESS_ACCOUNTS,  /* accounts of one address that only ever try to buy, when nearly all of its accounts do */
	DETECTOR_ADDRESS_MIX,	    /* what part of an address's accounts behave like programs */
	DETECTOR_ACCOUNT_ADDRESSES, /* addresses of one account */
	DETECTOR_REFUSALS,	    /* refusals in a row */
	DETECTOR_THROTTLED,	    /* share of requests that were throttled */
	DETECTOR_REGULARITY,	    /* how even the gaps between requests are */
	DETECTORS
};

#define DETECTOR_WINDOW_MIN_US INT64_C(1000000)
#define DETECTOR_WINDOW_MAX_US INT64_C(600000000)

struct detector_setting {
	bool enabled;
	bool shadow; /* its decisions are recorded (BAN_SHADOWS) and refuse nobody */
	int64_t window_us;
	uint32_t least; /* so many requests (address-mix: accounts) must be in the window before it says anything; 0: no matter */
	uint32_t slow, challenge, ban; /* in the detector's own unit, ascending; 0: this step is left out */
};

struct detector_settings {
	struct detector_setting of[DETECTORS]; /* [DETECTOR_NONE] is unused */
	int64_t slow_us, challenge_us;	       /* how long these last; a client that goes on gets another */
	int64_t ban_us, ban_longest_us;	       /* the first ban; each further one lasts twice as long, up to the longest */
	int64_t decay_us;		       /* one repetition is forgotten for each so long a time without a decision */
	int64_t exempt_us;		       /* how long a lifted client is left alone by that detector */
};

struct detector_info {
	const char *name;    /* "account-rate"; for settings, REST and evidence */
	const char *purpose; /* one line */
	const char *unit;    /* of its thresholds: "requests in the window" */
	uint32_t highest;    /* greatest threshold that it can count to */
	uint32_t least_max;  /* greatest `least`; 0: it does not look at that */
	struct detector_setting standard;
};
extern const struct detector_info detector_infos[DETECTORS];
enum detector detector_find(const char *name, size_t length); /* DETECTOR_NONE: there is none of that name */

void detector_settings_standard(struct detector_settings *settings);
/* False: *ret_field is the name of what can't be, of a detector or of the ladder, as in protector.proto. */
bool detector_settings_check(
	const struct detector_settings *settings, const char **ret_field, struct error *error);

/* What a detector saw. Counts that it does not keep are 0. */
struct evidence {
	int64_t window_us;
	uint32_t value, threshold; /* the number, and the step it reached; in the detector's unit */
	uint32_t requests;	   /* in the window */
	uint32_t refusals;	   /* in a row; those within a tenth of a second are one */
	uint32_t throttled;	   /* of the requests; only the first within a tenth of a second counts */
	uint32_t accounts;	   /* distinct, behind an address; exact to 128, then estimated */
	uint32_t suspects;	   /* of 100 accounts, those that behave like programs */
	uint32_t addresses;	   /* distinct, of an account */
	uint32_t variation;	   /* of the gaps: standard deviation in percent of the mean */
	int64_t first_us, last_us; /* when this client was first seen, as far as is remembered, and when it was judged */
};

struct decision {
	struct ban_subject subject; /* an account, one IPv4 address, or an IPv6 /64 */
	enum ban_effect effect;	    /* BAN_DENIES, BAN_SLOWS, BAN_CHALLENGES; BAN_SHADOWS by a detector in shadow */
	enum ban_effect step;	    /* what it is, or would be without shadow; never BAN_SHADOWS */
	enum detector detector;
	int64_t create_us, expire_us;
	uint32_t repetition; /* bans of this client before, as far as they are not forgotten */
	struct evidence evidence;
};

/* For people and for struct ban: why, in a few words (at most BANS_REASON_MAX); and what was seen (at most BANS_EVIDENCE_MAX), which names all that counts:
 * "account-rate: 163 requests in 5 s, 150 allowed; ...". Both append. */
void decision_reason(const struct decision *decision, struct text *text);
void decision_evidence(const struct decision *decision, struct text *text);

#endif
