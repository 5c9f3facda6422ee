/* discovery/consul_watch.h - what to ask Consul next and what to believe, for one service and for our own registration; no I/O, no clock, no threads.
 *
 * Rules of a watch. A blocking query names the index of the last answer; an index that went back, and each failure, makes the next one not block; 0 counts as 1. An
 * answer is no change: lists are compared. Answers that come early and bring nothing new slow the next question down, and failures do with full jitter,
 * so no server can make us spin. The last good list stays whatever happens.
 * **Consul's memory can be lost**, as that of an agent that was restarted, and an empty list is then an answer like any other. So after Consul was away or its
 * index went back, instances that it no longer names stay for a while as critical ones: callers with a connection go on, and services have the time
 * to register again. One that Consul named again since, and any while Consul is well, goes at once.
 * Times are monotonic milliseconds; `random` is any 32 bits. A watch belongs to one thread. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_WATCH_H
#define FLASHSALE_DISCOVERY_CONSUL_WATCH_H

#include "discovery/consul_options.h"
#include "discovery/instances.h"

#define CONSUL_BACKOFF_MIN_MS 50
#define CONSUL_PACE_MS 100      /* between answers that bring nothing, at first; */
#define CONSUL_PACE_MAX_MS 1000 /* and at most */

struct consul_watch {
	const struct consul_options *options;
	uint64_t index;           /* for the next question; 0: it does not block */
	unsigned failures, idle;  /* in a row: failures; early answers that brought nothing */
	int64_t next_ms;          /* when to ask next */
	int64_t heard_ms;         /* the last good answer; of the start when there was none */
	int64_t linger_until_ms;  /* how long `missing` stays */
	struct instances *missing;    /* what Consul has not named again since its memory may have been lost; NULL: nothing */
	const struct instances *list; /* what others were told last; NULL: nothing yet */
};

void consul_watch_init(struct consul_watch *watch, const struct consul_options *options, int64_t now_ms);
void consul_watch_release(struct consul_watch *watch);

/* A good answer to what was asked at sent_ms; takes the reference to `fresh`. Returns a list with a reference to hand on, or NULL: nothing new. */
struct instances *consul_watch_heard(struct consul_watch *watch, uint64_t index, struct instances *fresh, int64_t sent_ms, int64_t now_ms);
void consul_watch_failed(struct consul_watch *watch, int64_t now_ms, uint32_t random);

/* Our own registration: register, then look now and then whether it is there as we made it. */
enum consul_step { CONSUL_NOTHING, CONSUL_REGISTER, CONSUL_LOOK, CONSUL_WITHDRAW };
enum consul_found { CONSUL_DONE, CONSUL_MISSING, CONSUL_OTHER, CONSUL_FAILED };

struct consul_enroll {
	const struct consul_options *options;
	enum consul_step next;
	unsigned failures;
	int64_t next_ms;
	bool registered; /* as far as we know */
};

void consul_enroll_init(struct consul_enroll *enroll, const struct consul_options *options);
void consul_enroll_begin(struct consul_enroll *enroll, int64_t now_ms);
void consul_enroll_end(struct consul_enroll *enroll, int64_t now_ms);   /* one attempt to withdraw, if there may be something */
/* What came of the step. MISSING: Consul does not know us; OTHER: it has something else under our id. */
void consul_enroll_heard(struct consul_enroll *enroll, enum consul_found found, int64_t now_ms, uint32_t random);
void consul_enroll_hurry(struct consul_enroll *enroll, int64_t now_ms); /* Consul was away and is back: look now */

#endif
