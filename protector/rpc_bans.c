#include "base/memory.h"
#include "protector/protector.h"
#include "protector/shelf.h"
#include "rpc/reason.h"

#define PAGE_MAX 1000
#define PAGE_STANDARD 100

static void fail_not_found(struct rpc_call *call, const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	rpc_fail_reason(
		call, COMMON__REASON__REASON_NOT_FOUND, "there is no ban %s in force", id_format(id, text));
}

/* ---- create ---- */

struct create_ban {
	struct ban_change change;
	Protector__CreateBanResponse_Closure answer;
};

static void create_settled(struct ban_change *change)
{
	struct create_ban *create = container_of(change, struct create_ban, change);
	struct rpc_call *call = change->change.call;
	Protector__CreateBanResponse response = PROTECTOR__CREATE_BAN_RESPONSE__INIT;

	response.ban = message_ban(rpc_arena(call), &change->ban);
	if (response.ban)
		create->answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(create_ban, CreateBan)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct create_ban *create = ARENA_NEW(rpc_arena(call), struct create_ban);
	struct complaint complaint;

	if (!create) {
		protector_fail_too_large(call);
		return;
	}
	complaint = ban_from_request(request, clock_wall_ms(protector->clock), &create->change.ban);
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	create->change.settled = create_settled;
	create->answer = answer;
	protector_ban(protector, call, &create->change);
}

/* ---- delete ---- */

struct delete_ban {
	struct change change;
	struct protector *protector;
	struct id id;
	bool found;
	Protector__Ban *was;
	Protector__DeleteBanResponse_Closure answer;
};

static int delete_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct delete_ban *delete = container_of(change, struct delete_ban, change);

	return shelf_remove(delete->protector->store, txn, &delete->id, &delete->found);
}

/* Memory is as the store was before this change, so the ban is there in one if it was in the other. */
static void delete_settle(struct change *change)
{
	struct delete_ban *delete = container_of(change, struct delete_ban, change);
	struct protector *protector = delete->protector;
	Protector__DeleteBanResponse response = PROTECTOR__DELETE_BAN_RESPONSE__INIT;

	if (!delete->found) {
		fail_not_found(change->call, &delete->id);
		return;
	}
	protector_remove(protector, &delete->id);
	watch_board_flush(protector->board);
	response.ban = delete->was;
	delete->answer(&response, change->call);
}

static bool read_id(struct rpc_call *call, const char *text, struct id *ret)
{
	if (id_parse(text, ret))
		return true;
	rpc_refuse(call, "ban_id",
		"ban_id: expected the id of a ban, such as 01890a5d-ac96-774b-bcce-b302099a8057");
	return false;
}

/* The ban of this id if it is in force; else the call is over. */
static const struct ban *find_ban(struct protector *protector, struct rpc_call *call, const char *text)
{
	const struct ban *ban;
	struct id id;

	if (!read_id(call, text, &id))
		return NULL;
	ban = bans_get(protector->bans, &id);
	if (ban && ban_in_force(ban, clock_wall_ms(protector->clock)))
		return ban;
	fail_not_found(call, &id);
	return NULL;
}

PROTECTOR_METHOD(delete_ban, DeleteBan)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct arena *arena = rpc_arena(call);
	const struct ban *ban = find_ban(protector, call, request->ban_id);
	struct delete_ban *delete;

	if (!ban)
		return;
	if (ban->origin == BAN_BY_SETTING) {
		rpc_fail_reason(call, COMMON__REASON__REASON_FORBIDDEN,
			"this entry comes from --allow: change the setting and restart the service");
		return;
	}
	delete = ARENA_NEW(arena, struct delete_ban);
	if (!delete || !(delete->was = message_ban_copy(arena, ban))) {
		protector_fail_too_large(call);
		return;
	}
	delete->protector = protector;
	delete->id = ban->id;
	delete->answer = answer;
	delete->change = (struct change){
		.apply = delete_apply, .settle = delete_settle, .call = call, .loop = protector->loop};
	change_submit(&delete->change, protector->writer);
}

/* ---- reads, from memory ---- */

PROTECTOR_METHOD(get_ban, GetBan)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetBanResponse response = PROTECTOR__GET_BAN_RESPONSE__INIT;
	const struct ban *ban = find_ban(protector, call, request->ban_id);

	if (!ban)
		return;
	response.ban = message_ban(rpc_arena(call), ban);
	if (response.ban)
		answer(&response, call);
	else
		protector_fail_too_large(call);
}

static const struct ban *next_in_force(const struct bans *bans, const struct id *after, int64_t now_ms)
{
	const struct ban *ban = bans_after(bans, after);

	while (ban && !ban_in_force(ban, now_ms))
		ban = bans_after(bans, &ban->id);
	return ban;
}

PROTECTOR_METHOD(list_bans, ListBans)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__ListBansResponse response = PROTECTOR__LIST_BANS_RESPONSE__INIT;
	size_t max = request->page_size ? request->page_size : PAGE_STANDARD;
	int64_t now_ms = clock_wall_ms(protector->clock);
	char token[ID_TEXT_LENGTH + 1];
	struct arena *arena = rpc_arena(call);
	const struct ban *ban;
	struct id at = {{0}};

	if (max > PAGE_MAX) {
		rpc_refuse(call, "page_size", "expected at most %d", PAGE_MAX);
		return;
	}
	if (*request->page_token && !id_parse(request->page_token, &at)) {
		rpc_refuse(call, "page_token", "not the next_page_token of a page of this list");
		return;
	}
	response.bans = ARENA_ARRAY(arena, max, Protector__Ban *);
	while (response.bans && response.n_bans < max &&
		(ban = next_in_force(protector->bans, &at, now_ms))) {
		response.bans[response.n_bans] = message_ban(arena, ban);
		if (!response.bans[response.n_bans++])
			break;
		at = ban->id;
	}
	if (arena_exhausted(arena)) {
		protector_fail_too_large(call);
		return;
	}
	if (response.n_bans == max && next_in_force(protector->bans, &at, now_ms))
		response.next_page_token = id_format(&at, token);
	answer(&response, call);
}

PROTECTOR_METHOD(watch_bans, WatchBans)
{
	struct protector *protector = container_of(service, struct protector, methods);

	watch_board_stream(protector->board, call, request->resume_incarnation, request->resume_version);
}
