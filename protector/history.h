/* protector/history.h - bans that are over: kept in the store for a while, so that they can be explained, and counted as repetition.
 *
 * A ban that leaves the shelf (ended by itself, lifted, replaced) comes here with how and when that was. It goes again after the retention; earlier when there
 * are more than rows_max, or when the store is three quarters full: then the oldest go first, whatever their age. When it is seven eighths full, or the disk
 * nearly is, or a group had to be rolled back lately, nothing new is kept: bans in force need the room more.
 *
 * Some time after its end a ban's address is erased: of the subject only family and length stay, addresses in its texts are taken out. What stays
 * is a hash (HMAC-SHA256, cut) of the subject under a key that was made at random with the store and stands in its meta: with it an operator who has an address finds its
 * bans, and sees which are of the same client. It is no secret from who has the store: all IPv4 addresses can be tried under the key.
 * Threads: open before there are others; reading (history_get, _after, _since, _hash) in any transaction of any thread; the rest is the writer's. */
#ifndef FLASHSALE_PROTECTOR_HISTORY_H
#define FLASHSALE_PROTECTOR_HISTORY_H

#include "protector/records.h"
#include "protector/rows.h"

#define HISTORY_KEY_BYTES 32

struct history_limits {
	int64_t retention_ms, address_ms; /* both since the end; a retention of 0: nothing is kept */
	int64_t rows_max;		  /* 0: nothing is kept */
};

struct history {
	struct store *store;
	struct history_limits limits;
	uint8_t key[HISTORY_KEY_BYTES];

	/* the writer's */
	bool crowded;		   /* the oldest go */
	bool full;		   /* nothing is kept */
	int64_t now_ms, looked_ms; /* of the last tick; when the room was looked at */
};

/* The store's history; makes its key if there is none yet. */
bool history_open(struct history *history, struct store *store, const struct history_limits *limits,
	struct error *error);

/* A ban that leaves the shelf in the same transaction; replaced_by NULL unless it was. One whose time was over has expired, whatever removes it. */
int history_keep(struct history *history, MDB_txn *txn, const struct ban *ban, enum ban_end how,
	const struct id *replaced_by, int64_t now_ms);

/* Erases and forgets what is due, at most `max` of each. *ret_next_ms: when there is more to do, now_ms: at once; INT64_MAX: never. */
int history_tick(struct history *history, MDB_txn *txn, int64_t now_ms, size_t max, int64_t *ret_next_ms,
	bool *ret_changed);
void history_rollback(struct history *history); /* the group was not committed */
int64_t history_rows(const struct history *history, MDB_txn *txn);

void history_hash(
	const struct history *history, const struct ban_subject *subject, uint8_t ret[SUBJECT_HASH_BYTES]);

/* These return MDB_NOTFOUND when there is none. After an id, the zero one to begin with: the next by id, of that subject (NULL: of any). */
int history_get(const struct history *history, MDB_txn *txn, const struct id *id, struct ended_ban *ret,
	struct ban_texts *texts);
int history_after(const struct history *history, MDB_txn *txn, const uint8_t *subject_hash,
	const struct id *after, struct ended_ban *ret, struct ban_texts *texts);

/* All that have ended then or later, by their end. */
int history_since(const struct history *history, MDB_txn *txn, int64_t since_ms,
	void (*visit)(void *context, const struct ended_ban *ended), void *context);

/* Copies the text, at most `max` bytes and the zero, with "[address]" in place of whatever looks like one. */
void history_erase_text(const char *from, char *to, size_t max);

#endif
