/* cart/reconcile_ask.c - the steps of a reconciliation as commands to inventory; without `apply`, as figures. See reconcile.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cart/reconcile.h"
#include "rpc/reason.h"

#define EPOCH_TRIES 100

static const ProtobufCMessage *call(
	struct reconcile *r, const char *method, const ProtobufCMessage *input, struct rpc_status *status)
{
	arena_clear(&r->arena);
	return tool_client_call(r->client, r->inventory_shard, method, input, &r->arena, status);
}

/* A definite no has a reason; all else means that inventory could not be asked. */
static bool refused(const struct rpc_status *status, char why[40], enum outcome_of_fate *outcome,
	const char *method, struct error *error)
{
	if (!status->reason[0] || !strcmp(status->reason, "STALE_EPOCH") ||
		!strcmp(status->reason, "STARTING") || !strcmp(status->reason, "OVERLOADED") ||
		!strcmp(status->reason, "STORE_FAILED") || !strcmp(status->reason, "STORE_FULL") ||
		!strcmp(status->reason, "WRONG_SHARD"))
		return error_set(error, "%s: %s: %s; what was done stays, run it again", method,
			rpc_code_name(status->code), status->message);
	snprintf(why, 40, "%s", status->reason);
	*outcome = OUTCOME_SHORT;
	return true;
}

bool reconcile_ask_fence(struct reconcile *r, struct error *error)
{
	Inventory__FenceCartRequest request = INVENTORY__FENCE_CART_REQUEST__INIT;
	struct rpc_status status;

	r->sender.epoch = r->position.epoch + 1;
	request.placement = &r->placement;
	request.sender = &r->sender;
	for (int tries = 0; tries < EPOCH_TRIES; tries++) {
		const Inventory__FenceCartResponse *answer =
			(const Inventory__FenceCartResponse *)call(r, "FenceCart", &request.base, &status);

		if (!answer)
			return error_set(
				error, "FenceCart: %s: %s", rpc_code_name(status.code), status.message);
		if (answer->accepted) {
			if (!id_parse(answer->removed_id, &r->removed))
				memset(&r->removed, 0, sizeof(r->removed));
			return true;
		}
		r->sender.epoch = answer->epoch + 1;
	}
	return error_set(error, "no epoch is accepted: is a cart of this shard running somewhere?");
}

bool reconcile_ask_goods(
	struct reconcile *r, const char *sku, struct reconcile_sku **ret, struct error *error)
{
	Inventory__GetGoodsRequest request = INVENTORY__GET_GOODS_REQUEST__INIT;
	const Inventory__GetGoodsResponse *answer;
	struct rpc_status status;

	HASH_FIND_STR(r->skus, sku, *ret);
	if (*ret)
		return true;
	request.sku = (char *)(uintptr_t)sku;
	answer = (const Inventory__GetGoodsResponse *)call(r, "GetGoods", &request.base, &status);
	if (!answer && status.code != RPC_NOT_FOUND)
		return error_set(error, "GetGoods: %s: %s", rpc_code_name(status.code), status.message);
	*ret = NEW(struct reconcile_sku);
	snprintf((*ret)->sku, sizeof((*ret)->sku), "%s", sku);
	(*ret)->available = answer ? (int64_t)answer->goods->available : 0;
	HASH_ADD_STR(r->skus, sku, *ret);
	return true;
}

/* ---- holds ---- */

static const struct line *line_of(const struct promise *promise)
{
	const struct line *line = promise->ours ? promise->ours : promise->theirs;

	assert(line);
	return line;
}

static const char *sku_of(const struct promise *promise)
{
	return line_of(promise)->usage->goods->sku;
}

static uint32_t units_of(const struct promise *promise)
{
	return line_of(promise)->quantity;
}

static bool create_once(
	struct reconcile *r, struct promise *promise, uint32_t *ret_state, struct error *error)
{
	Inventory__CreateHoldRequest request = INVENTORY__CREATE_HOLD_REQUEST__INIT;
	Inventory__NewHold hold = INVENTORY__NEW_HOLD__INIT;
	const Inventory__CreateHoldResponse *answer;
	const struct line *line = promise->ours;
	char id[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	hold.hold_id = id_format(&promise->there, id);
	hold.sku = line->usage->goods->sku;
	hold.user_id = line->usage->person->user;
	if (line->session)
		hold.session_id = line->session->text;
	hold.quantity = line->quantity;
	if (line->keyed) {
		hold.key_hash =
			(ProtobufCBinaryData){sizeof(line->key.bytes), (uint8_t *)(uintptr_t)line->key.bytes};
		hold.fingerprint = (ProtobufCBinaryData){
			sizeof(line->fingerprint.bytes), (uint8_t *)(uintptr_t)line->fingerprint.bytes};
	}
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.hold = &hold;
	answer = (const Inventory__CreateHoldResponse *)call(r, "CreateHold", &request.base, &status);
	*ret_state = answer ? answer->grant->state : 0;
	return answer || refused(&status, promise->why, &promise->outcome, "CreateHold", error);
}

/* An id that inventory may have forgotten is not taken: then a newer one. */
static bool ask_create(struct reconcile *r, struct promise *promise, uint32_t *ret_state, struct error *error)
{
	if (!create_once(r, promise, ret_state, error))
		return false;
	if (promise->outcome != OUTCOME_SHORT || strcmp(promise->why, "GONE") != 0)
		return true;
	promise->there = reconcile_newer_id(r, &promise->there, false);
	promise->outcome = OUTCOME_DONE;
	promise->why[0] = '\0';
	return create_once(r, promise, ret_state, error);
}

bool reconcile_ask_make(struct reconcile *r, struct promise *promise, struct error *error)
{
	struct reconcile_sku *sku;
	uint32_t state;

	if (!reconcile_ask_goods(r, sku_of(promise), &sku, error))
		return false;
	promise->outcome = OUTCOME_DONE;
	if (r->apply) {
		if (!ask_create(r, promise, &state, error))
			return false;
		if (promise->outcome == OUTCOME_DONE && !reconcile_counts((uint8_t)state)) {
			promise->outcome = OUTCOME_SHORT;
			snprintf(promise->why, sizeof(promise->why), "HOLD_EXPIRED");
		}
	} else if (sku->available < units_of(promise)) {
		promise->outcome = OUTCOME_SHORT;
		snprintf(promise->why, sizeof(promise->why), sku->available ? "NOT_ENOUGH" : "SOLD_OUT");
	}
	if (promise->outcome == OUTCOME_DONE) {
		sku->available -= units_of(promise);
		sku->made += units_of(promise);
	}
	return true;
}

/* A line does not know what it was paid with; a reference of ours says why there is another one. */
bool reconcile_ask_sell(struct reconcile *r, struct promise *promise, struct error *error)
{
	Inventory__ConfirmHoldRequest request = INVENTORY__CONFIRM_HOLD_REQUEST__INIT;
	Inventory__HoldConfirmation hold = INVENTORY__HOLD_CONFIRMATION__INIT;
	char id[ID_TEXT_LENGTH + 1], reference[PAYMENT_MAX + 1], ours[ID_TEXT_LENGTH + 1];
	struct reconcile_sku *sku;
	struct rpc_status status;

	if (!reconcile_ask_goods(r, sku_of(promise), &sku, error))
		return false;
	snprintf(reference, sizeof(reference), "reconciled-%s", id_format(&promise->ours->id, ours));
	hold.hold_id = id_format(&promise->there, id);
	hold.payment_reference = reference;
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.hold = &hold;
	promise->outcome = OUTCOME_DONE;
	if (r->apply && !call(r, "ConfirmHold", &request.base, &status))
		return refused(&status, promise->why, &promise->outcome, "ConfirmHold", error);
	sku->sold += units_of(promise);
	return true;
}

bool reconcile_ask_shrink(struct reconcile *r, struct promise *promise, struct error *error)
{
	Inventory__ResizeHoldRequest request = INVENTORY__RESIZE_HOLD_REQUEST__INIT;
	uint32_t units = promise->theirs->quantity - promise->ours->quantity;
	char id[ID_TEXT_LENGTH + 1];
	struct reconcile_sku *sku;
	struct rpc_status status;

	if (!reconcile_ask_goods(r, sku_of(promise), &sku, error))
		return false;
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.hold_id = id_format(&promise->there, id);
	request.quantity = promise->ours->quantity;
	promise->outcome = OUTCOME_DONE;
	if (r->apply && !call(r, "ResizeHold", &request.base, &status))
		return refused(&status, promise->why, &promise->outcome, "ResizeHold", error);
	sku->available += units;
	sku->given_back += units;
	return true;
}

bool reconcile_ask_give_back(struct reconcile *r, struct promise *promise, struct error *error)
{
	Inventory__ReleaseHoldRequest request = INVENTORY__RELEASE_HOLD_REQUEST__INIT;
	Inventory__HoldRelease hold = INVENTORY__HOLD_RELEASE__INIT;
	char id[ID_TEXT_LENGTH + 1];
	struct reconcile_sku *sku;
	struct rpc_status status;
	uint32_t units = promise->theirs ? promise->theirs->quantity : units_of(promise);

	if (!reconcile_ask_goods(r, sku_of(promise), &sku, error))
		return false;
	hold.hold_id = id_format(&promise->there, id);
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.hold = &hold;
	promise->outcome = OUTCOME_DONE;
	if (r->apply && !call(r, "ReleaseHold", &request.base, &status)) {
		if (!strcmp(status.reason, "HOLD_EXPIRED"))
			return true; /* it went by itself meanwhile */
		return refused(&status, promise->why, &promise->outcome, "ReleaseHold", error);
	}
	sku->available += units;
	sku->given_back += units;
	return true;
}

/* ---- orders ---- */

static bool order_refused(const Inventory__OrderOutcome *outcome, struct pact *pact)
{
	const struct rpc_reason *reason;

	if (outcome && outcome->outcome_case == INVENTORY__ORDER_OUTCOME__OUTCOME_GRANT)
		return false;
	reason = outcome && outcome->outcome_case == INVENTORY__ORDER_OUTCOME__OUTCOME_REFUSAL
			 ? rpc_reason_get(outcome->refusal->reason)
			 : NULL;
	snprintf(pact->why, sizeof(pact->why), "%s", reason ? reason->name : "no reason");
	pact->outcome = OUTCOME_SHORT;
	return true;
}

static bool bind_once(struct reconcile *r, struct pact *pact, struct error *error)
{
	Inventory__BindOrderHoldsRequest request = INVENTORY__BIND_ORDER_HOLDS_REQUEST__INIT;
	char texts[ORDER_HOLDS_MAX][ID_TEXT_LENGTH + 1], *ids[ORDER_HOLDS_MAX], id[ID_TEXT_LENGTH + 1];
	const Inventory__BindOrderHoldsResponse *answer;
	struct rpc_status status;

	pact->outcome = OUTCOME_DONE;
	if (!r->apply)
		return true;
	for (uint32_t i = 0; i < pact->ours->item_count; i++)
		ids[i] = id_format(&pact->promises[i]->there, texts[i]);
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.order_id = id_format(&pact->there, id);
	request.user_id = pact->ours->customer->user;
	request.hold_ids = ids;
	request.n_hold_ids = pact->ours->item_count;
	answer = (const Inventory__BindOrderHoldsResponse *)call(r, "BindOrderHolds", &request.base, &status);
	if (!answer)
		return refused(&status, pact->why, &pact->outcome, "BindOrderHolds", error);
	order_refused(answer->outcome, pact);
	return true;
}

bool reconcile_ask_bind(struct reconcile *r, struct pact *pact, struct error *error)
{
	if (!bind_once(r, pact, error))
		return false;
	if (pact->outcome != OUTCOME_SHORT || strcmp(pact->why, "GONE") != 0)
		return true;
	pact->there = reconcile_newer_id(r, &pact->there, true);
	pact->why[0] = '\0';
	return bind_once(r, pact, error);
}

bool reconcile_ask_pay(struct reconcile *r, struct pact *pact, struct error *error)
{
	Inventory__ConfirmOrderHoldsRequest request = INVENTORY__CONFIRM_ORDER_HOLDS_REQUEST__INIT;
	const Inventory__ConfirmOrderHoldsResponse *answer;
	struct reconcile_sku *sku;
	char id[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	pact->outcome = OUTCOME_DONE;
	request.placement = &r->placement;
	request.sender = &r->sender;
	request.order_id = id_format(&pact->there, id);
	request.payment_reference = pact->ours->payment;
	if (r->apply) {
		answer = (const Inventory__ConfirmOrderHoldsResponse *)call(
			r, "ConfirmOrderHolds", &request.base, &status);
		if (!answer)
			return refused(&status, pact->why, &pact->outcome, "ConfirmOrderHolds", error);
		if (order_refused(answer->outcome, pact))
			return true;
	}
	for (uint32_t i = 0; i < pact->ours->item_count; i++) {
		if (!reconcile_ask_goods(r, pact->ours->items[i].sku, &sku, error))
			return false;
		sku->sold += pact->ours->items[i].quantity;
	}
	return true;
}

bool reconcile_ask_end(struct reconcile *r, struct pact *pact, bool refund, struct error *error)
{
	Inventory__ReleaseOrderHoldsRequest release = INVENTORY__RELEASE_ORDER_HOLDS_REQUEST__INIT;
	Inventory__RefundOrderHoldsRequest back = INVENTORY__REFUND_ORDER_HOLDS_REQUEST__INIT;
	const ProtobufCMessage *answer = NULL;
	struct reconcile_sku *sku;
	char id[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	pact->outcome = OUTCOME_DONE;
	release.placement = back.placement = &r->placement;
	release.sender = back.sender = &r->sender;
	release.order_id = back.order_id = id_format(&pact->there, id);
	if (r->apply) {
		answer = refund ? call(r, "RefundOrderHolds", &back.base, &status)
				: call(r, "ReleaseOrderHolds", &release.base, &status);
		if (!answer)
			return refused(&status, pact->why, &pact->outcome, "RefundOrderHolds", error);
		if (order_refused(refund ? ((const Inventory__RefundOrderHoldsResponse *)answer)->outcome
					 : ((const Inventory__ReleaseOrderHoldsResponse *)answer)->outcome,
			    pact)) {
			if (!strcmp(pact->why, "HOLD_EXPIRED")) /* it went by itself meanwhile */
				pact->outcome = OUTCOME_DONE;
			return true;
		}
	}
	for (uint32_t i = 0; i < pact->theirs->item_count; i++) {
		if (!reconcile_ask_goods(r, pact->theirs->items[i].sku, &sku, error))
			return false;
		sku->available += pact->theirs->items[i].quantity;
		sku->given_back += pact->theirs->items[i].quantity;
	}
	return true;
}
