/* rpc_history.c - bans that are over, read from the store; and lists of bans. */
#include <string.h>

#include "base/memory.h"
#include "protector/protector.h"
#include "rpc/reason.h"

/* ---- one that is over ---- */

/* The message's texts are in the arena. NULL: no memory. */
static Protector__Ban *show(struct arena *arena, const struct ended_ban *ended)
{
	struct ended_ban *kept = arena_copy(arena, ended, sizeof(*ended));

	if (!kept)
		return NULL;
	kept->ban.reason = arena_text(arena, ended->ban.reason, strlen(ended->ban.reason));
	kept->ban.evidence = arena_text(arena, ended->ban.evidence, strlen(ended->ban.evidence));
	return kept->ban.reason && kept->ban.evidence ? message_ended(arena, kept) : NULL;
}

static void fail_store(struct rpc_call *call, int rc)
{
	rpc_fail_reason(
		call, COMMON__REASON__REASON_STORE_FAILED, "the store can't be read: %s", mdb_strerror(rc));
}

enum rpc_code rpc_find_ended(
	struct protector *protector, struct rpc_call *call, const struct id *id, Protector__Ban **ret)
{
	const struct ban *ban = bans_get(protector->bans, id);
	struct ended_ban ended;
	struct ban_texts texts;
	MDB_txn *txn;
	int rc;

	if (ban) { /* its time is over, and it was not removed yet */
		ended = (struct ended_ban){.ban = *ban, .how = BAN_EXPIRED, .end_ms = ban->expire_ms};
		*ret = show(rpc_arena(call), &ended);
		return RPC_OK;
	}
	rc = store_read_begin(protector->store, &txn);
	if (!rc) {
		rc = history_get(&protector->history, txn, id, &ended, &texts);
		mdb_txn_abort(txn);
	}
	if (rc == MDB_NOTFOUND)
		return RPC_NOT_FOUND;
	if (rc) {
		fail_store(call, rc);
		return RPC_INTERNAL;
	}
	*ret = show(rpc_arena(call), &ended);
	return RPC_OK;
}

/* ---- lists ---- */

/* A page that is being made. */
struct listing {
	struct protector *protector;
	struct arena *arena;
	Protector__ListBansResponse *response;
	size_t max;
	bool more;
	struct id at;			   /* the last one */
	const struct ban_subject *subject; /* NULL: of all */
	char *token;			   /* of the arena */
};

static const struct ban *next_shown(const struct bans *bans, const struct id *after, int64_t now_ms)
{
	const struct ban *ban = bans_after(bans, after);

	while (ban && !bans_shows(bans, ban, now_ms))
		ban = bans_after(bans, &ban->id);
	return ban;
}

/* The next by id of the few that one subject has. */
static const struct ban *next_of_subject(
	const struct bans *bans, const struct ban_subject *subject, const struct id *after, int64_t now_ms)
{
	const struct ban *all[BANS_OF_PEERS_MAX + BAN_ORIGINS], *next = NULL;
	size_t count = bans_of_peers(bans, subject, all);

	for (enum ban_origin origin = 0; origin < BAN_ORIGINS; origin++) {
		all[count] = bans_of(bans, subject, origin);
		count += all[count] != NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (bans_shows(bans, all[i], now_ms) && id_compare(&all[i]->id, after) > 0 &&
			(!next || id_compare(&all[i]->id, &next->id) < 0))
			next = all[i];
	}
	return next;
}

/* False: the page is full, or no memory is left. */
static bool add(struct listing *listing, Protector__Ban *message, const struct id *id)
{
	listing->more = message && listing->response->n_bans == listing->max;
	if (!message || listing->more)
		return false;
	listing->response->bans[listing->response->n_bans++] = message;
	listing->at = *id;
	return true;
}

static void list_in_force(struct listing *listing)
{
	const struct bans *bans = listing->protector->bans;
	const int64_t now_ms = clock_wall_ms(listing->protector->clock);
	const struct ban *ban;

	do {
		ban = listing->subject ? next_of_subject(bans, listing->subject, &listing->at, now_ms)
				       : next_shown(bans, &listing->at, now_ms);
	} while (ban && add(listing, message_ban(listing->arena, ban), &ban->id));
}

/* 0, or LMDB's error code. */
static int list_ended(struct listing *listing)
{
	const struct history *history = &listing->protector->history;
	uint8_t hash[SUBJECT_HASH_BYTES];
	struct ended_ban ended;
	struct ban_texts texts;
	MDB_txn *txn;
	int rc = store_read_begin(listing->protector->store, &txn);

	if (rc)
		return rc;
	if (listing->subject)
		history_hash(history, listing->subject, hash);
	do {
		rc = history_after(
			history, txn, listing->subject ? hash : NULL, &listing->at, &ended, &texts);
	} while (!rc && add(listing, show(listing->arena, &ended), &ended.ban.id));
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static struct complaint read_subject(
	const Protector__ListBansRequest *request, struct listing *listing, struct ban_subject *subject)
{
	listing->subject = subject;
	switch (request->subject_case) {
	case PROTECTOR__LIST_BANS_REQUEST__SUBJECT_USER_ID:
		return subject_from_user("user_id", request->user_id, subject);
	case PROTECTOR__LIST_BANS_REQUEST__SUBJECT_ADDRESS:
		return subject_from_range("address", request->address, subject);
	default:
		listing->subject = NULL;
		return (struct complaint){0};
	}
}

/* False: no memory. */
static bool start_page(struct listing *listing)
{
	listing->token = arena_array(listing->arena, ID_TEXT_LENGTH + 1, 1);
	if (listing->response && listing->token) {
		protector__list_bans_response__init(listing->response);
		listing->response->bans = ARENA_ARRAY(listing->arena, listing->max, Protector__Ban *);
	}
	return !arena_exhausted(listing->arena);
}

PROTECTOR_METHOD(list_bans, ListBans)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct listing listing = {.protector = protector,
		.arena = rpc_arena(call),
		.response = ARENA_NEW(rpc_arena(call), Protector__ListBansResponse)};
	struct ban_subject subject;
	struct complaint complaint = read_subject(request, &listing, &subject);
	int rc = 0;

	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	if (!rpc_read_page(call, request->page_size, request->page_token, &listing.max, &listing.at))
		return;
	if (start_page(&listing) && request->ended)
		rc = list_ended(&listing);
	else if (!arena_exhausted(listing.arena))
		list_in_force(&listing);
	if (listing.more)
		listing.response->next_page_token = id_format(&listing.at, listing.token);
	if (arena_exhausted(listing.arena))
		protector_fail_too_large(call);
	else if (rc)
		fail_store(call, rc);
	else if (request->ended && !request->own)
		rpc_list_elsewhere(protector, call, request, listing.response, listing.max, answer);
	else
		answer(listing.response, call);
}
