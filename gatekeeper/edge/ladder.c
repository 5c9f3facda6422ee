#include "gatekeeper/edge/ladder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/metrics.h"

#define WAYS 8 /* places that one client, or one solution, can have */
#define BUCKET_SETS (LADDER_BUCKETS / WAYS)
#define USED_SETS (LADDER_USED / WAYS)
#define BURST_S 2
#define SECOND_NS INT64_C(1000000000)

/* A limit as one time: when the bucket will be full again. In the past: it is. */
struct bucket {
	uint64_t key;
	int64_t full_ns;
};

struct used {
	uint32_t tag, expire_s;
};

struct memory {
	pthread_mutex_t mutex;
	struct challenge_key key;
	uint8_t salt[16]; /* nobody chooses accounts that share places with another */
	struct bucket buckets[BUCKET_SETS][WAYS];
	struct used used[USED_SETS][WAYS];
};

enum challenge_count {
	CHALLENGES_MADE,    /* asked of a client */
	CHALLENGES_SOLVED,  /* of the solutions that came: it counts, */
	CHALLENGES_WRONG,   /* it is none, or of another challenge, */
	CHALLENGES_EXPIRED, /* it came too late, */
	CHALLENGES_REUSED,  /* it was used before, */
	CHALLENGES_NO_ROOM, /* too many are remembered */
	CHALLENGE_COUNTS
};
#define CHALLENGES(text) \
	{ \
		.kind = METRIC_COUNTER, .name = "flashsale_gatekeeper_challenges_total", \
		.help = "Challenges that were made, and the solutions that came, by what they were.", \
		.labels = "outcome=\"" text "\"" \
	}
static struct metric challenges[CHALLENGE_COUNTS] = {
	[CHALLENGES_MADE] = CHALLENGES("made"),
	[CHALLENGES_SOLVED] = CHALLENGES("solved"),
	[CHALLENGES_WRONG] = CHALLENGES("wrong"),
	[CHALLENGES_EXPIRED] = CHALLENGES("expired"),
	[CHALLENGES_REUSED] = CHALLENGES("reused"),
	[CHALLENGES_NO_ROOM] = CHALLENGES("no_room"),
};

struct ladder {
	struct ladder_options options;
	struct challenge_key key;
	struct memory *memory;
	bool owns_memory;
};

size_t ladder_memory_size(void)
{
	return sizeof(struct memory);
}

void ladder_memory_init(void *place)
{
	struct memory *memory = place;
	struct challenge_key salt;
	pthread_mutexattr_t attributes;

	memset(memory, 0, sizeof(*memory));
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&memory->mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	challenge_key_random(&memory->key);
	challenge_key_random(&salt);
	memcpy(memory->salt, salt.bytes, sizeof(memory->salt));
}

/* Each word in there is good by itself: who died with the lock left nothing half done that matters. */
static void lock(struct memory *memory)
{
	const int rc = pthread_mutex_lock(&memory->mutex);

	assert(rc == 0 || rc == EOWNERDEAD);
	if (rc == EOWNERDEAD)
		pthread_mutex_consistent(&memory->mutex);
}

static void unlock(struct memory *memory)
{
	pthread_mutex_unlock(&memory->mutex);
}

struct ladder *ladder_new(const struct ladder_options *options, struct error *error)
{
	struct ladder *ladder = NEW(struct ladder);

	assert(options->difficulty <= CHALLENGE_DIFFICULTY_MAX && options->account_rate &&
		options->address_rate);
	ladder->options = *options;
	for (int i = 0; i < CHALLENGE_COUNTS; i++)
		metrics_register(&challenges[i]);
	ladder->memory = options->memory;
	if (!ladder->memory) {
		ladder->memory = NEW(struct memory);
		ladder->owns_memory = true;
		ladder_memory_init(ladder->memory);
	}
	ladder->key = ladder->memory->key;
	if (options->key_file && !challenge_key_read(options->key_file, &ladder->key, error)) {
		ladder_free(ladder);
		return NULL;
	}
	return ladder;
}

void ladder_free(struct ladder *ladder)
{
	if (!ladder)
		return;
	if (ladder->owns_memory) {
		pthread_mutex_destroy(&ladder->memory->mutex);
		free(ladder->memory);
	}
	free(ladder);
}

/* ---- slower ---- */

/* The client's place: its own, a free one, or that of the one whose bucket is the fullest. With the lock. */
static struct bucket *find_bucket(struct memory *memory, uint64_t key)
{
	struct bucket *set = memory->buckets[key % BUCKET_SETS], *found = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_ns < found->full_ns)
			found = &set[i];
	}
	*found = (struct bucket){.key = key};
	return found;
}

static uint64_t bucket_key(
	const struct memory *memory, char kind, const void *who, size_t who_size, const char *user_id)
{
	const struct hash_part parts[] = {{memory->salt, sizeof(memory->salt)}, {&kind, 1}, {who, who_size},
		{user_id, strlen(user_id)}};
	const struct hash128 hash = hash128_parts(parts, 4);
	uint64_t key;

	memcpy(&key, hash.bytes, sizeof(key));
	return key | UINT64_C(1) << 63; /* 0: an empty place */
}

/* What stands against one more now, in nanoseconds; 0: nothing. */
static int64_t wait_ns(const struct bucket *bucket, uint32_t rate, int64_t now_ns)
{
	const int64_t each_ns = SECOND_NS / rate;
	const int64_t ahead_ns = bucket->full_ns - now_ns + each_ns - BURST_S * SECOND_NS;

	return ahead_ns > 0 ? ahead_ns : 0;
}

static void take_one(struct bucket *bucket, uint32_t rate, int64_t now_ns)
{
	bucket->full_ns = (bucket->full_ns > now_ns ? bucket->full_ns : now_ns) + SECOND_NS / rate;
}

static int64_t pass_both(struct ladder *ladder, uint64_t own_key, uint64_t shared_key, int64_t now_ns)
{
	const uint32_t own_rate = ladder->options.account_rate, shared_rate = ladder->options.address_rate;
	struct bucket *shared = NULL;
	struct bucket *own = find_bucket(ladder->memory, own_key);
	int64_t own_wait = wait_ns(own, own_rate, now_ns), shared_wait = 0;

	if (own_wait)
		return own_wait;
	if (shared_key) {
		shared = find_bucket(ladder->memory, shared_key);
		shared_wait = wait_ns(shared, shared_rate, now_ns);
	}
	if (shared_wait)
		return shared_wait;
	if (shared)
		take_one(shared, shared_rate, now_ns);
	own = find_bucket(ladder->memory, own_key); /* the other may have taken its place */
	take_one(own, own_rate, now_ns);
	return 0;
}

bool ladder_pass(
	struct ladder *ladder, const struct ladder_client *client, int64_t now_ns, int64_t *ret_wait_ms)
{
	const bool of_address = client->ban->of_address;
	const char *ban_id = client->ban->ban_id;
	uint64_t own, shared = 0;
	int64_t wait;

	/* The range that is banned shares one limit, and within it each account has its own. */
	own = bucket_key(ladder->memory, of_address ? 'm' : 'u', ban_id, of_address ? strlen(ban_id) : 0,
		client->user_id);
	if (of_address)
		shared = bucket_key(ladder->memory, 'a', ban_id, strlen(ban_id), "");
	lock(ladder->memory);
	wait = pass_both(ladder, own, shared, now_ns);
	unlock(ladder->memory);
	*ret_wait_ms = (wait + 999999) / 1000000;
	return wait == 0;
}

/* ---- challenged ---- */

/* Whether it counts: not if it was used before, nor if there is no room to remember that it is now. */
static enum challenge_count use(struct memory *memory, const struct challenge_solved *solved, int64_t now_s)
{
	uint64_t number;
	uint32_t tag;
	struct used *set, *place = NULL;

	memcpy(&number, solved->nonce, sizeof(number)); /* random, and signed: nobody chose it */
	memcpy(&tag, solved->nonce + sizeof(number), sizeof(tag));
	set = memory->used[number % USED_SETS];
	for (int i = 0; i < WAYS; i++) {
		if (set[i].expire_s <= now_s)
			place = &set[i];
		else if (set[i].tag == tag)
			return CHALLENGES_REUSED;
	}
	if (!place)
		return CHALLENGES_NO_ROOM;
	*place = (struct used){.tag = tag, .expire_s = (uint32_t)solved->expire_s};
	return CHALLENGES_SOLVED;
}

static struct challenge_client bound(const struct ladder_client *client)
{
	return (struct challenge_client){
		.user_id = client->user_id, .address = client->ban->of_address ? client->address : NULL};
}

static enum challenge_count judge(struct ladder *ladder, const struct ladder_client *client,
	struct edge_slice solution, int64_t now_s, const char **ret_why)
{
	static const char *const whys[] = {
		[CHALLENGE_MALFORMED] = "the solution is not one",
		[CHALLENGE_NOT_OURS] = "the solution is of another challenge than this client was given",
		[CHALLENGE_EXPIRED] = "the challenge has expired",
		[CHALLENGE_NOT_SOLVED] = "the solution does not solve the challenge",
	};
	const struct challenge_client who = bound(client);
	struct challenge_solved solved;
	enum challenge_count count;
	enum challenge_end end;

	end = challenge_check(
		&ladder->key, &who, ladder->options.difficulty, solution.data, solution.size, now_s, &solved);
	if (end != CHALLENGE_SOLVED) {
		*ret_why = whys[end];
		return end == CHALLENGE_EXPIRED ? CHALLENGES_EXPIRED : CHALLENGES_WRONG;
	}
	lock(ladder->memory);
	count = use(ladder->memory, &solved, now_s);
	unlock(ladder->memory);
	*ret_why = count == CHALLENGES_NO_ROOM ? "too many solutions came lately: ask again later"
					       : "the solution was used before";
	return count;
}

bool ladder_solved(struct ladder *ladder, const struct ladder_client *client, struct edge_slice solution,
	int64_t now_ms, const char **ret_why)
{
	enum challenge_count count;

	*ret_why = "solve the challenge and ask again with the solution";
	if (!solution.size)
		return false;
	count = judge(ladder, client, solution, now_ms / 1000, ret_why);
	metric_add(&challenges[count], 1);
	return count == CHALLENGES_SOLVED;
}

void ladder_challenge(struct ladder *ladder, const struct ladder_client *client, int64_t now_ms,
	char ret[CHALLENGE_TEXT_MAX])
{
	const struct challenge_client who = bound(client);

	challenge_make(&ladder->key, &who, ladder->options.difficulty,
		now_ms / 1000 + ladder->options.lifetime_s, ret);
	metric_add(&challenges[CHALLENGES_MADE], 1);
}
