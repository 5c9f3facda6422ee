/* cart/reconcile_carry.c - the plan carried out, in its order: what goes back, what was paid, what was held. See reconcile.h; the steps are in reconcile_ask.c. */
#include "cart/reconcile.h"

#include <string.h>

static bool make_missing(struct reconcile *r, struct pact *pact, struct error *error)
{
	for (uint32_t i = 0; i < pact->ours->item_count; i++) {
		struct promise *promise = pact->promises[i];

		if (promise->fate == FATE_SHRINK && !reconcile_ask_shrink(r, promise, error))
			return false;
		if (promise->fate == FATE_MAKE && !reconcile_ask_make(r, promise, error))
			return false;
		if (promise->outcome == OUTCOME_SHORT || promise->fate == FATE_THEIRS) {
			pact->outcome = OUTCOME_SHORT;
			memcpy(pact->why, promise->outcome == OUTCOME_SHORT ? promise->why : "WRONG_STATE",
				promise->outcome == OUTCOME_SHORT ? sizeof(promise->why)
								  : sizeof("WRONG_STATE"));
			return true;
		}
	}
	return true;
}

/* An order is whole, or it is not. What was paid for and can't be had together is not kept; what was only held stays in the cart, as far as it is there. */
static bool undo_made(struct reconcile *r, struct pact *pact, struct error *error)
{
	for (uint32_t i = 0; pact->ours->truth == LINE_SOLD && i < pact->ours->item_count; i++) {
		struct promise *promise = pact->promises[i];

		if (promise->outcome == OUTCOME_SHORT)
			continue;
		if ((promise->fate == FATE_MAKE && promise->outcome == OUTCOME_DONE) ||
			(promise->theirs && promise->theirs->state == LINE_HELD))
			if (!reconcile_ask_give_back(r, promise, error))
				return false;
		promise->outcome = OUTCOME_SHORT;
		memcpy(promise->why, pact->why, sizeof(promise->why));
	}
	return true;
}

static bool keep_pact(struct reconcile *r, struct pact *pact, struct error *error)
{
	if (pact->fate == FATE_MAKE) {
		if (!make_missing(r, pact, error))
			return false;
		if (pact->outcome != OUTCOME_SHORT && !reconcile_ask_bind(r, pact, error))
			return false;
		if (pact->outcome == OUTCOME_SHORT)
			return undo_made(r, pact, error);
	}
	if (pact->ours->truth == LINE_SOLD && (pact->fate == FATE_MAKE || pact->fate == FATE_SELL))
		return reconcile_ask_pay(r, pact, error);
	return true;
}

static bool keep_promise(struct reconcile *r, struct promise *promise, struct error *error)
{
	if (promise->fate == FATE_MAKE && !reconcile_ask_make(r, promise, error))
		return false;
	if (promise->fate == FATE_SHRINK && !reconcile_ask_shrink(r, promise, error))
		return false;
	if (promise->outcome == OUTCOME_SHORT || promise->ours->state != LINE_SOLD)
		return true;
	return promise->fate == FATE_THEIRS || promise->fate == FATE_SAME ||
	       reconcile_ask_sell(r, promise, error);
}

static bool give_back_all(struct reconcile *r, struct error *error)
{
	for (size_t i = 0; i < r->pact_count; i++)
		if (r->pacts[i].fate == FATE_GIVE_BACK &&
			!reconcile_ask_end(r, &r->pacts[i], r->pacts[i].theirs->truth == LINE_SOLD, error))
			return false;
	for (size_t i = 0; i < r->promise_count; i++) {
		struct promise *promise = &r->promises[i];

		/* One that is bound there goes with its order. */
		if (promise->fate == FATE_GIVE_BACK && id_is_zero(&promise->theirs->order) &&
			!reconcile_ask_give_back(r, promise, error))
			return false;
	}
	return true;
}

/* What is in `state` here. */
static bool keep_all(struct reconcile *r, uint8_t state, struct error *error)
{
	for (size_t i = 0; i < r->pact_count; i++)
		if (r->pacts[i].ours->truth == state && !keep_pact(r, &r->pacts[i], error))
			return false;
	for (size_t i = 0; i < r->promise_count; i++)
		if (r->promises[i].ours && r->promises[i].ours->state == state && !r->promises[i].pact &&
			!keep_promise(r, &r->promises[i], error))
			return false;
	return true;
}

bool reconcile_carry_out(struct reconcile *r, struct error *error)
{
	return (!r->apply || reconcile_ask_fence(r, error)) && give_back_all(r, error) &&
	       keep_all(r, LINE_SOLD, error) && keep_all(r, LINE_HELD, error);
}
