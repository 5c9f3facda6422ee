/* protector/peers_remove.c - takes bans away where they are; see peers.h. */
#include "base/clock.h"
#include "base/memory.h"
#include "protector/peers_internal.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"

#define PATIENCE_MS 5000 /* of a call without a deadline */

struct errand {
	struct rpc_request request;
	struct peers_removal *removal;
	struct id id;
	uint8_t owner;
	const char *name; /* of the peer */
};

static int64_t deadline_ns(const struct rpc_call *call)
{
	const int64_t latest_ns = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000);

	return rpc_deadline_ns(call) < latest_ns ? rpc_deadline_ns(call) : latest_ns;
}

static bool is_away(enum rpc_code code)
{
	return code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED || code == RPC_CANCELLED;
}

/* Asking again does no harm, so nobody needs to know whether it was done. */
static void note_failure(struct errand *errand)
{
	const struct rpc_status *status = &errand->request.status;
	struct rpc_status *failed = &errand->removal->status;

	if (!is_away(status->code))
		*failed = *status;
	else if (errand->request.sent)
		rpc_status_set_reason(failed, COMMON__REASON__REASON_DEPENDENCY_DOWN,
			"%s, which has the ban, did not answer; ask again", errand->name);
	else
		rpc_status_set_reason(failed, COMMON__REASON__REASON_DEPENDENCY_DOWN,
			"%s, which has the ban, is away", errand->name);
}

/* Its protector told when that was; a time that can't be is not believed. */
static void note_end(struct peers_removal *removal, const Protector__DeleteBanResponse *answer)
{
	const Google__Protobuf__Timestamp *time = answer->ban ? answer->ban->end_time : NULL;
	int64_t end_ms;

	if (time && timestamp_get(time, &end_ms) && end_ms > removal->end_ms)
		removal->end_ms = end_ms;
}

static void finish(struct peers_removal *removal)
{
	if (removal->status.code == RPC_OK)
		removal->done(removal);
	else
		rpc_fail(removal->call, &removal->status);
}

static void errand_done(struct rpc_request *request)
{
	struct errand *errand = container_of(request, struct errand, request);
	struct peers_removal *removal = errand->removal;
	const enum rpc_code code = request->status.code;

	removal->missing += code == RPC_NOT_FOUND;
	if (code == RPC_OK)
		note_end(removal, (const Protector__DeleteBanResponse *)request->output);
	if (code != RPC_OK && code != RPC_NOT_FOUND)
		note_failure(errand);
	else
		bans_remove(removal->peers->protector->bans, &errand->id,
			errand->owner); /* its watch says so soon */
	if (--removal->open == 0)
		finish(removal);
}

static void ask(struct errand *errand)
{
	struct peers_removal *removal = errand->removal;
	struct rpc_call *call = removal->call;
	Protector__DeleteBanRequest request = PROTECTOR__DELETE_BAN_REQUEST__INIT;
	char text[ID_TEXT_LENGTH + 1];

	request.ban_id = id_format(&errand->id, text);
	request.own = true;
	errand->request = (struct rpc_request){.service = &protector__protector_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&protector__protector_service__descriptor, "DeleteBan"),
		.input = &request.base,
		.shard = RPC_ANY_SHARD,
		.instance = errand->name,
		.deadline_ns = deadline_ns(call),
		.trace = rpc_trace(call),
		.arena = rpc_arena(call),
		.done = errand_done};
	rpc_request_start(removal->peers->pool, &errand->request);
}

/* NULL: the call has ended. */
static struct errand *prepare(struct peers_removal *removal, const struct ban *const *bans, size_t count)
{
	struct arena *arena = rpc_arena(removal->call);
	struct errand *errands = ARENA_ARRAY(arena, count, struct errand);

	for (size_t i = 0; errands && i < count; i++) {
		bool here;
		const char *name = peers_name(removal->peers, bans[i]->owner, &here);

		if (!here || !removal->peers->pool) {
			rpc_fail_reason(removal->call, COMMON__REASON__REASON_DEPENDENCY_DOWN,
				"%s, which has the ban, is away: nothing was changed", name);
			return NULL;
		}
		errands[i].removal = removal;
		errands[i].id = bans[i]->id;
		errands[i].owner = bans[i]->owner;
		errands[i].name = arena_text(arena, name, strlen(name));
	}
	if (!arena_exhausted(arena))
		return errands;
	protector_fail_too_large(removal->call);
	return NULL;
}

void peers_remove(struct peers *peers, struct rpc_call *call, const struct ban *const *bans, size_t count,
	struct peers_removal *removal, void (*done)(struct peers_removal *removal))
{
	struct errand *errands;

	*removal = (struct peers_removal){.call = call, .done = done, .peers = peers, .open = count};
	if (!count) {
		done(removal);
		return;
	}
	errands = prepare(removal, bans, count);
	for (size_t i = 0; errands && i < count; i++)
		ask(&errands[i]);
}
