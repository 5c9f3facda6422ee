/* gatekeeper/edge/ladder.h - the rungs between welcome and banned: a client that is slowed gets a limit of its own, one that is challenged does a proof of
 * work (challenge.h) before each attempt to get units.
 *
 * What has to be one for all workers of a gatekeeper lies in a piece of memory that they share: the limits' buckets, which solutions were used, and the key of
 * challenges unless it comes from a file. Its size is fixed, whatever the number of clients:
 *  - LADDER_BUCKETS clients are slowed exactly; past that the one whose bucket is the fullest, so who tried least, is forgotten, and begins anew.
 *  - LADDER_USED solutions are remembered until their challenges expire; past that a solution is not taken. None ever counts twice at one gatekeeper.
 * Gatekeepers know nothing of one another's: what is solved counts once at each of those that share a key, and each slows by itself.
 * Threads: any, also of several processes; one mutex in the shared memory, which survives that a process dies with it. */
#ifndef FLASHSALE_EDGE_LADDER_H
#define FLASHSALE_EDGE_LADDER_H

#include "gatekeeper/edge/ban_list.h"
#include "gatekeeper/edge/challenge.h"
#include "gatekeeper/edge/edge.h"

#define LADDER_BUCKETS 32768
#define LADDER_USED 131072

size_t ladder_memory_size(void);
void ladder_memory_init(void *memory); /* by the first process, before any other sees it */

struct ladder_options {
	void *memory;		    /* NULL: of its own, made here */
	const char *key_file;	    /* NULL: the memory's random key */
	unsigned difficulty;	    /* of challenges, 0 to CHALLENGE_DIFFICULTY_MAX */
	int64_t lifetime_s;	    /* of challenges */
	uint32_t account_rate;	    /* of a slowed client, attempts a second */
	uint32_t address_rate;	    /* of all clients together that one ban of an address or range slows */
};

struct ladder;
struct ladder *ladder_new(const struct ladder_options *options, struct error *error);
void ladder_free(struct ladder *ladder);

struct ladder_client {
	const struct ban_verdict *ban; /* what slows or challenges it */
	const char *user_id;
	const struct address *address; /* set when the ban is of an address */
};

/* Whether a slowed client may go on now. Else *ret_wait_ms, at least 1: when to try again. What is refused costs nothing. Each limit allows two seconds' worth at once. */
bool ladder_pass(
	struct ladder *ladder, const struct ladder_client *client, int64_t now_ns, int64_t *ret_wait_ms);

/* Whether a challenged client brought a solution that counts; it counts no more. Else *ret_why is for a person. An empty solution is none. */
bool ladder_solved(struct ladder *ladder, const struct ladder_client *client, struct edge_slice solution,
	int64_t now_ms, const char **ret_why);
/* A new challenge for it. */
void ladder_challenge(struct ladder *ladder, const struct ladder_client *client, int64_t now_ms,
	char ret[CHALLENGE_TEXT_MAX]);

#endif
