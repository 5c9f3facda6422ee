/* tests/traffic/town.h - a sale as detectors see it, with known good and known bad clients, drawn from a seed.
 *
 * Everybody is an actor: asked again and again for the next thing they do, in the order of time, and told what came of it. The sale has a time before it opens, some units, a throttle that
 * turns away what is over its rate, and an end. The same seed and size give the same traffic. docs/protector.md lists who there is, and the ranges.
 * Threads: belongs to one. */
#ifndef FLASHSALE_TESTS_TRAFFIC_TOWN_H
#define FLASHSALE_TESTS_TRAFFIC_TOWN_H

#include <stdio.h>

#include "protector/recording.h"
#include "tests/simulation/random.h"

#define SECOND_US INT64_C(1000000)
#define ACTOR_NAME_MAX 24
#define ACTOR_GONE INT64_MAX

struct town;
struct actor;
typedef void actor_step(struct town *town, struct actor *actor);

struct actor {
	int64_t next_us; /* when it acts next; ACTOR_GONE: no more */
	uint32_t number; /* in the order of their making: who comes first at the same time */
	actor_step *step;
	char name[ACTOR_NAME_MAX]; /* the account; "": none */
	struct address address, others[3];
	unsigned other_count;
	uint32_t units; /* it has got */
	/* people */
	int64_t buy_us, leave_us, poll_us, moves_us;
	double patience_us; /* typical gap between tries */
	unsigned tries, tries_max, mash, orders;
	unsigned page_requests; /* that one look makes */
	bool anonymous_looks;
	/* programs */
	int64_t gap_us;
	uint32_t jitter; /* percent of the gap, to both sides; JITTER_CROWD: as independent arrivals */
	uint32_t looks;  /* percent of its requests */
	struct address *pool; /* that it comes from, in turn; NULL: only its own */
	unsigned pool_count;
	bool among_people; /* its address is not its own */
};
#define JITTER_CROWD 1000

struct town {
	struct random random;
	struct recording_writer *out;
	FILE *truth;
	int64_t start_us, open_us, end_us;
	uint32_t stock, limit;
	uint32_t throttle, second_count; /* buys a second */
	int64_t second;
	uint32_t next_address, next_name;
	unsigned scale; /* of the numbers of clients, in percent */
	struct address carrier, office; /* where programs hide among people */
	unsigned office_people;
	struct actor **heap;
	size_t count, room;
	uint32_t actors;
	uint64_t events;
};

/* The whole of it: a recording, and who was who. `scale`: how many people there are, in percent. ret_events may be NULL. */
bool town_draw(uint64_t seed, unsigned scale, const char *out, const char *truth, uint64_t *ret_events,
	struct error *error);

/* ---- for people.c and programs.c ---- */

struct actor *town_add(struct town *town, actor_step *step, int64_t first_us);
/* One request now. */
Common__Reason town_ask(struct town *town, struct actor *actor, enum traffic_kind kind, bool with_name);
void town_name(struct town *town, struct actor *actor);
struct address town_address(struct town *town); /* one that nobody has; v4 or v6 */
/* What is known about a client, for the truth's file. */
void town_tell(struct town *town, const char *kind, bool honest, const struct actor *actor);
unsigned town_scaled(const struct town *town, unsigned count); /* at least 1 */

int64_t draw(struct town *town, int64_t low, int64_t high);
int64_t draw_spread(struct town *town, double median, double sigma); /* lognormal */
bool draw_percent(struct town *town, uint32_t percent);

/* people.c and programs.c: fill the town. */
void town_add_people(struct town *town);
void town_add_programs(struct town *town);

#endif
