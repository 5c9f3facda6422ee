#include "base/memory.h"
#include "protector/detection.h"
#include "protector/protector.h"
#include "protector/shelf.h"
#include "rpc/reason.h"

void protector_fail_too_large(struct rpc_call *call)
{
	rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
		"the answer needs more memory than one call may have");
}

void protector_refuse(struct rpc_call *call, const struct complaint *complaint)
{
	rpc_refuse(call, complaint->field, "%s", complaint->why);
}

static int ban_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct ban_change *ban = container_of(change, struct ban_change, change);

	return shelf_put(&ban->protector->history, txn, &ban->ban, now_ms);
}

static void ban_settle(struct change *change)
{
	struct ban_change *ban = container_of(change, struct ban_change, change);

	protector_put(ban->protector, &ban->ban);
	watch_board_flush(ban->protector->board);
	ban->settled(ban);
}

bool protector_has_room(const struct protector *protector, const struct ban *ban, size_t new)
{
	return (int64_t)(bans_count(protector->bans, BANS_OWN) + new) < protector->settings->bans_max ||
	       bans_of(protector->bans, &ban->subject, ban->origin);
}

void protector_ban(struct protector *protector, struct rpc_call *call, struct ban_change *change)
{
	if (!protector_has_room(protector, &change->ban, 0)) {
		rpc_fail_reason(call, COMMON__REASON__REASON_STORE_FULL,
			"there are %lld bans already: lift some, or raise --bans-max",
			(long long)protector->settings->bans_max);
		return;
	}
	change->protector = protector;
	change->ban.id = id_next(&protector->ids);
	change->change = (struct change){.apply = ban_apply,
		.settle = ban_settle,
		.grows = true,
		.call = call,
		.loop = protector->loop};
	change_submit(&change->change, protector->writer);
}

static int many_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct bans_change *bans = container_of(change, struct bans_change, change);
	int rc = 0;

	for (size_t i = 0; !rc && i < bans->count; i++)
		rc = shelf_put(&bans->protector->history, txn, &bans->bans[i], now_ms);
	return rc;
}

static void many_settle(struct change *change)
{
	struct bans_change *bans = container_of(change, struct bans_change, change);

	for (size_t i = 0; i < bans->count; i++)
		protector_put(bans->protector, &bans->bans[i]);
	watch_board_flush(bans->protector->board);
	bans->settled(bans);
}

void protector_ban_many(struct protector *protector, struct rpc_call *call, struct bans_change *change)
{
	change->protector = protector;
	for (size_t i = 0; i < change->count; i++)
		change->bans[i].id = id_next(&protector->ids);
	change->change = (struct change){.apply = many_apply,
		.settle = many_settle,
		.grows = true,
		.items = (uint32_t)change->count,
		.call = call,
		.loop = protector->loop};
	change_submit(&change->change, protector->writer);
}

/* What remains of a detector's ban that is lifted: the detector leaves the subject alone for a while, and those that did before do so as long. */
static struct ban exemption_of(struct protector *protector, const struct ban *was)
{
	const struct ban *before;
	struct ban exemption = {.origin = BAN_BY_LIFTING,
		.effect = BAN_EXEMPTS,
		.create_ms = clock_wall_ms(protector->clock),
		.reason = "lifted",
		.evidence = ""};

	if (!was || was->origin != BAN_BY_DETECTOR || !was->detection)
		return (struct ban){0};
	before = bans_of(protector->bans, &was->subject, BAN_BY_LIFTING);
	exemption.id = id_next(&protector->ids);
	exemption.subject = was->subject;
	exemption.expire_ms = exemption.create_ms + protector->exempt_ms;
	exemption.exempts = DETECTOR_BIT(was->detection->detector);
	if (before && ban_in_force(before, exemption.create_ms))
		exemption.exempts |= before->exempts;
	return exemption;
}

static int remove_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct remove_change *remove = container_of(change, struct remove_change, change);
	struct history *history = &remove->protector->history;
	int rc = shelf_remove(history, txn, &remove->was->id, BAN_LIFTED, NULL, now_ms, &remove->found);

	remove->end_ms = now_ms;
	if (!rc && remove->found && remove->exemption.effect)
		rc = shelf_put(history, txn, &remove->exemption, now_ms);
	return rc;
}

/* Memory is as the store was before this change, so the ban is there in one if it was in the other. */
static void remove_settle(struct change *change)
{
	struct remove_change *remove = container_of(change, struct remove_change, change);

	if (remove->found) {
		protector_remove(remove->protector, &remove->was->id);
		if (remove->exemption.effect)
			protector_put(remove->protector, &remove->exemption);
		watch_board_flush(remove->protector->board);
	}
	remove->settled(remove);
}

static void peer_removed(struct peers_removal *removal)
{
	struct remove_change *change = container_of(removal, struct remove_change, removal);

	change->found = !removal->missing;
	change->end_ms = removal->end_ms;
	change->settled(change);
}

void protector_take_away(struct protector *protector, struct rpc_call *call, struct remove_change *change)
{
	change->protector = protector;
	change->change.call = call;
	if (change->was->owner != BANS_OWN) {
		peers_remove(protector->peers, call, &change->was, 1, &change->removal, peer_removed);
		return;
	}
	change->exemption = exemption_of(protector, change->was);
	change->change = (struct change){
		.apply = remove_apply, .settle = remove_settle, .call = call, .loop = protector->loop};
	change_submit(&change->change, protector->writer);
}

static int lift_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct lift_change *lift = container_of(change, struct lift_change, change);
	struct history *history = &lift->protector->history;
	int rc = shelf_lift(history, txn, &lift->subject, now_ms, lift->ids, &lift->count);

	if (!rc && lift->exemption.effect)
		rc = shelf_put(history, txn, &lift->exemption, now_ms);
	return rc;
}

static void lift_settle(struct change *change)
{
	struct lift_change *lift = container_of(change, struct lift_change, change);

	for (size_t i = 0; i < lift->count; i++)
		protector_remove(lift->protector, &lift->ids[i]);
	if (lift->exemption.effect)
		protector_put(lift->protector, &lift->exemption);
	watch_board_flush(lift->protector->board);
	lift->settled(lift);
}

static void lift_own(struct peers_removal *removal)
{
	struct lift_change *change = container_of(removal, struct lift_change, removal);
	struct protector *protector = change->protector;

	change->exemption =
		exemption_of(protector, bans_of(protector->bans, &change->subject, BAN_BY_DETECTOR));
	change->change = (struct change){
		.apply = lift_apply, .settle = lift_settle, .call = removal->call, .loop = protector->loop};
	change_submit(&change->change, protector->writer);
}

void protector_lift(struct protector *protector, struct rpc_call *call, struct lift_change *change)
{
	const int64_t now_ms = clock_wall_ms(protector->clock);
	const struct ban *theirs[BANS_OF_PEERS_MAX];
	size_t count = bans_of_peers(protector->bans, &change->subject, theirs), lifted = 0;

	for (size_t i = 0; i < count; i++) {
		const bool stays = theirs[i]->effect == BAN_ALLOWS || theirs[i]->effect == BAN_EXEMPTS;

		if (!stays && ban_in_force(theirs[i], now_ms))
			theirs[lifted++] = theirs[i];
	}
	change->protector = protector;
	peers_remove(protector->peers, call, theirs, lifted, &change->removal, lift_own);
}
