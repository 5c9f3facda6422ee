#include <string.h>

#include "base/memory.h"
#include "protector/protector.h"
#include "rpc/reason.h"

#define PAGE_MAX 1000
#define PAGE_STANDARD 100

/* ---- what bans and allowances share ---- */

static void fail_not_found(struct rpc_call *call, const struct id *id, bool allowance)
{
	char text[ID_TEXT_LENGTH + 1];

	rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "there is no %s %s in force",
		allowance ? "allowance" : "ban", id_format(id, text));
}

void rpc_ban_gone(struct rpc_call *call, const struct ban *was)
{
	fail_not_found(call, &was->id, was->effect == BAN_ALLOWS);
}

bool rpc_read_ban_id(struct rpc_call *call, const char *field, const char *text, struct id *ret)
{
	if (id_parse(text, ret))
		return true;
	rpc_refuse(call, field, "expected an id such as 01890a5d-ac96-774b-bcce-b302099a8057");
	return false;
}

/* Unless one knows here that it is over, it may have been made at another protector a moment ago. */
static void find_elsewhere(struct protector *protector, struct rpc_call *call, const struct id *id,
	bool allowance, const struct elsewhere *wanted)
{
	Protector__Ban *ended;
	const enum rpc_code code = wanted->own ? RPC_NOT_FOUND : rpc_find_ended(protector, call, id, &ended);

	if (code == RPC_OK)
		fail_not_found(call, id, allowance);
	else if (code == RPC_NOT_FOUND)
		rpc_ask_elsewhere(protector, call, wanted);
}

const struct ban *rpc_find_ban(
	struct protector *protector, struct rpc_call *call, bool allowance, const struct elsewhere *wanted)
{
	const struct ban *ban;
	struct id id;

	if (!rpc_read_ban_id(call, allowance ? "allowance_id" : "ban_id", wanted->id, &id))
		return NULL;
	ban = bans_get(protector->bans, &id);
	if (!ban)
		find_elsewhere(protector, call, &id, allowance, wanted);
	else if ((wanted->own && ban->owner != BANS_OWN) || (allowance && ban->effect != BAN_ALLOWS) ||
		 !ban_in_force(ban, clock_wall_ms(protector->clock)))
		fail_not_found(call, &id, allowance);
	else
		return ban;
	return NULL;
}

bool rpc_start_removal(struct protector *protector, struct rpc_call *call, const struct ban *ban,
	struct remove_change *change)
{
	if (ban->origin == BAN_BY_SETTING) {
		rpc_fail_reason(call, COMMON__REASON__REASON_FORBIDDEN,
			"this entry comes from --allow: change the setting and restart the service");
		return false;
	}
	change->was = message_keep(rpc_arena(call), ban);
	if (!change->was) {
		protector_fail_too_large(call);
		return false;
	}
	protector_take_away(protector, call, change);
	return true;
}

bool rpc_read_page(
	struct rpc_call *call, uint32_t page_size, const char *page_token, size_t *ret_max, struct id *ret_at)
{
	if (page_size > PAGE_MAX) {
		rpc_refuse(call, "page_size", "expected at most %d", PAGE_MAX);
		return false;
	}
	*ret_max = page_size ? page_size : PAGE_STANDARD;
	memset(ret_at, 0, sizeof(*ret_at));
	if (!*page_token || id_parse(page_token, ret_at))
		return true;
	rpc_refuse(call, "page_token", "not the next_page_token of a page of this list");
	return false;
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

/* ---- create many ---- */

struct create_bans {
	struct bans_change change;
	Protector__BatchCreateBansResponse response;
	Protector__BanOutcome *outcomes; /* by item */
	char (*ids)[ID_TEXT_LENGTH + 1];
	Protector__BatchCreateBansResponse_Closure answer;
};

static void answer_batch(struct create_bans *create, struct rpc_call *call)
{
	size_t at = 0;

	for (size_t i = 0; i < create->response.n_items; i++) {
		Protector__BanOutcome *outcome = &create->outcomes[i];

		if (outcome->outcome_case == PROTECTOR__BAN_OUTCOME__OUTCOME_BAN_ID)
			outcome->ban_id = id_format(&create->change.bans[at].id, create->ids[at]), at++;
	}
	create->answer(&create->response, call);
}

static void create_many_settled(struct bans_change *change)
{
	answer_batch(container_of(change, struct create_bans, change), change->change.call);
}

static bool refuse_item(
	struct arena *arena, const struct complaint *complaint, Protector__BanOutcome *outcome)
{
	outcome->outcome_case = PROTECTOR__BAN_OUTCOME__OUTCOME_REFUSAL;
	outcome->refusal = message_refusal(arena, complaint);
	if (outcome->refusal && !complaint->field) {
		outcome->refusal->field = (char *)(uintptr_t) "";
		outcome->refusal->reason = COMMON__REASON__REASON_STORE_FULL;
	}
	return outcome->refusal != NULL;
}

/* False: no memory. */
static bool read_item(struct protector *protector, struct create_bans *create, struct arena *arena,
	const Protector__CreateBanRequest *item, int64_t now_ms, Protector__BanOutcome *outcome)
{
	struct ban *ban = &create->change.bans[create->change.count];
	struct complaint complaint = ban_from_request(item, now_ms, ban);

	protector__ban_outcome__init(outcome);
	if (complaint.field)
		return refuse_item(arena, &complaint, outcome);
	if (!protector_has_room(protector, ban, create->change.count)) {
		complaint.why = "there are as many bans as --bans-max lets be";
		return refuse_item(arena, &complaint, outcome);
	}
	create->change.count++;
	outcome->outcome_case = PROTECTOR__BAN_OUTCOME__OUTCOME_BAN_ID;
	return true;
}

static struct create_bans *new_batch(struct arena *arena, size_t count)
{
	struct create_bans *create = ARENA_NEW(arena, struct create_bans);

	if (!create)
		return NULL;
	protector__batch_create_bans_response__init(&create->response);
	create->change.bans = ARENA_ARRAY(arena, count, struct ban);
	create->outcomes = ARENA_ARRAY(arena, count, Protector__BanOutcome);
	create->ids = arena_array(arena, count, sizeof(*create->ids));
	create->response.items = ARENA_ARRAY(arena, count, Protector__BanOutcome *);
	create->response.n_items = count;
	return arena_exhausted(arena) ? NULL : create;
}

PROTECTOR_METHOD(batch_create_bans, BatchCreateBans)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct arena *arena = rpc_arena(call);
	struct create_bans *create = new_batch(arena, request->n_items);
	int64_t now_ms = clock_wall_ms(protector->clock);
	bool good = create != NULL;

	for (size_t i = 0; good && i < request->n_items; i++) {
		create->response.items[i] = &create->outcomes[i];
		good = read_item(protector, create, arena, request->items[i], now_ms, &create->outcomes[i]);
	}
	if (!good) {
		protector_fail_too_large(call);
		return;
	}
	create->answer = answer;
	create->change.settled = create_many_settled;
	if (create->change.count)
		protector_ban_many(protector, call, &create->change);
	else
		answer_batch(create, call);
}

/* ---- delete ---- */

struct delete_ban {
	struct remove_change change;
	Protector__DeleteBanResponse_Closure answer;
};

static void delete_settled(struct remove_change *change)
{
	struct delete_ban *delete = container_of(change, struct delete_ban, change);
	struct rpc_call *call = change->change.call;
	Protector__DeleteBanResponse response = PROTECTOR__DELETE_BAN_RESPONSE__INIT;

	if (!change->found) {
		rpc_ban_gone(call, change->was);
		return;
	}
	response.ban = message_ended(rpc_arena(call),
		&(struct ended_ban){.ban = *change->was, .how = BAN_LIFTED, .end_ms = change->end_ms});
	if (response.ban)
		delete->answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(delete_ban, DeleteBan)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct delete_ban *delete = ARENA_NEW(rpc_arena(call), struct delete_ban);
	Protector__DeleteBanRequest question = *request;
	const struct elsewhere elsewhere = {.method = "DeleteBan",
		.question = &question.base,
		.what = "ban",
		.id = request->ban_id,
		.absent = " in force",
		.own = request->own,
		.removes = true,
		.answer = (ProtobufCClosure)answer};
	const struct ban *ban;

	if (!delete) {
		protector_fail_too_large(call);
		return;
	}
	question.own = true;
	ban = rpc_find_ban(protector, call, false, &elsewhere);
	if (!ban)
		return;
	delete->answer = answer;
	delete->change.settled = delete_settled;
	rpc_start_removal(protector, call, ban, &delete->change);
}

/* ---- reads, from memory ---- */

static void get_elsewhere(struct protector *protector, struct rpc_call *call,
	const Protector__GetBanRequest *request, Protector__GetBanResponse_Closure answer)
{
	Protector__GetBanRequest question = *request;

	question.own = true;
	rpc_ask_elsewhere(protector, call,
		&(struct elsewhere){.method = "GetBan",
			.question = &question.base,
			.what = "ban",
			.id = request->ban_id,
			.absent = ": it never was, or it ended longer ago than bans are kept",
			.own = request->own,
			.answer = (ProtobufCClosure)answer});
}

PROTECTOR_METHOD(get_ban, GetBan)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetBanResponse response = PROTECTOR__GET_BAN_RESPONSE__INIT;
	enum rpc_code code = RPC_OK;
	const struct ban *ban;
	struct id id;

	if (!rpc_read_ban_id(call, "ban_id", request->ban_id, &id))
		return;
	ban = bans_get(protector->bans, &id);
	if (ban && request->own && ban->owner != BANS_OWN)
		code = RPC_NOT_FOUND; /* its owner is asked too, and knows better */
	else if (ban && ban_in_force(ban, clock_wall_ms(protector->clock)))
		response.ban = message_ban(rpc_arena(call), ban);
	else
		code = rpc_find_ended(protector, call, &id, &response.ban);
	if (code == RPC_NOT_FOUND)
		get_elsewhere(protector, call, request, answer);
	if (code != RPC_OK)
		return;
	if (response.ban)
		answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(watch_bans, WatchBans)
{
	struct protector *protector = container_of(service, struct protector, methods);

	watch_board_stream(protector->board, call, request->resume_incarnation, request->resume_version);
}
