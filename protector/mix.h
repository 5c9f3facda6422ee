/* protector/mix.h - the accounts behind one address: how many, and what part of them behave like programs.
 *
 * Up to 128 accounts are all looked at. Of more, a sample by hash: those whose hash begins with `depth` zero bits, one more each time there is no room, one fewer when there is room
 * again (adaptive sampling: Wegman; Flajolet, "On adaptive sampling", Computing 43, 1990). Who is in the sample does not depend on what it does, so its parts are the
 * crowd's parts. Up to 128 accounts the number is exact; beyond, its standard error is 1.2 / sqrt(128), 11 %.
 * A member behaves like a program if, over at least 2.5 s and within 5 s, its attempts (requests that change something) are at least 6 and evener than a person's (variation
 * at most 50 %), or are at least 15, or it makes 50 requests of any kind. It is thought to until it went 5 s without; it behaves
 * like a person if in 5 s it made fewer attempts than 4, or uneven ones (variation above 60 %). People who press a button as fast as they
 * can are even too, but not for long, and not all the people of an address at once: so the part of them decides (docs/protector.md).
 * Threads: belongs to one. A thing of a nest: begins with the hash. */
#ifndef FLASHSALE_PROTECTOR_MIX_H
#define FLASHSALE_PROTECTOR_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIX_MEMBERS 128
#define MIX_SPAN_US INT64_C(5000000)	/* over which a member is looked at */
#define MIX_STEADY_US INT64_C(2500000)	/* for so long at least */
#define MIX_EVEN_ATTEMPTS 6
#define MIX_EVEN_VARIATION 50
#define MIX_UNEVEN_VARIATION 60
#define MIX_PERSON_ATTEMPTS 4
#define MIX_FAST_ATTEMPTS 15
#define MIX_FAST_REQUESTS 50
#define MIX_JUDGE_US INT64_C(200000) /* how often the whole is looked at */

/* A thing of a nest too: begins with its hash, all zero at first. */
struct member {
	uint64_t hash;
	int64_t since_us; /* the present span's begin */
	int64_t first_us, last_us; /* attempts of the span */
	int64_t seen_us;
	uint64_t gap_squares; /* of gaps in units of 1 ms */
	uint32_t gap_sum;
	uint16_t attempts, requests; /* of the span */
	bool looked;  /* asked for something without changing it, since it was known */
	bool program; /* in the last span that was whole, or in this one */
	bool person;  /* in the last span that was whole: few attempts, or uneven ones */
};

/* One request of it. */
void member_add(struct member *member, bool attempt, int64_t now_us);

struct mix {
	uint64_t hash; /* of the address */
	int64_t last_us, judge_us;
	uint16_t tags[MIX_MEMBERS];
	uint8_t count, depth;
	uint8_t suspects;  /* where people are too: percent of programs, as of the last look; else 0 */
	uint32_t accounts; /* then */
	struct member members[MIX_MEMBERS]; /* the first `count` */
};

/* One request of an account. What is known of it; NULL: it is not in the sample. */
const struct member *mix_add(struct mix *mix, uint64_t account, bool attempt, int64_t now_us, int64_t keep_us);

/* From time to time: a sample that has become far too small grows again. Until the crowd has shown itself anew the estimate is short. */
void mix_shrink(struct mix *mix, int64_t now_us, int64_t keep_us);

struct mix_view {
	uint32_t accounts;    /* within the window: all of them, estimated if depth is not 0 */
	uint32_t sampled;     /* those that were looked at */
	uint32_t programs;    /* of these */
	uint32_t persons;     /* that were seen at all of late; who is neither is not known yet, or between */
	uint32_t never_looked; /* of these */
};
struct mix_view mix_look(const struct mix *mix, int64_t now_us, int64_t window_us, int64_t keep_us);

#endif
