/* cart/cart.c - requests and inventory's answers; the ledger and the fences are in cart_ledger.c. See cart.h. */
#include "cart/cart.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cart/cart_internal.h"

#define ASK_SHORTLY_MS 200 /* what stands in the way is about to be decided */

struct cart *cart_new(const struct cart_options *options)
{
	struct cart *cart = NEW(struct cart);

	cart->options = *options;
	lines_init(&cart->lines, options->shards, options->ended_max);
	attempts_init(&cart->attempts, &cart->lines, options->attempts_max);
	cart->links = NEW_ARRAY(options->shards, struct cart_link);
	for (uint32_t shard = 0; shard < options->shards; shard++)
		fence_init(&cart->links[shard].fence, &options->instance, 0);
	id_generator_init(&cart->ids, options->clock);
	return cart;
}

void cart_free(struct cart *cart)
{
	if (!cart)
		return;
	attempts_release(&cart->attempts);
	lines_release(&cart->lines);
	free(cart->links);
	free(cart);
}

void cart_load_link(struct cart *cart, uint32_t shard, const struct id *lineage, uint64_t position,
	uint64_t epoch, int64_t moved_ms)
{
	struct cart_link *link = &cart->links[shard];

	fence_init(&link->fence, &cart->options.instance, epoch);
	link->lineage = *lineage;
	link->position = position;
	cart->lines.moved_ms[shard] = moved_ms;
}

bool cart_load_hold(struct cart *cart, const struct hold *hold)
{
	if (lines_find(&cart->lines, &hold->id))
		return false;
	lines_add(&cart->lines, hold);
	id_generator_pass(&cart->ids, &hold->id);
	return true;
}

void cart_start(struct cart *cart)
{
	for (uint32_t shard = 0; shard < cart->options.shards; shard++)
		cart_doubt(cart, shard);
}

static void outcome_refuse(struct outcome *outcome, Common__Reason reason, uint32_t retry_after_ms)
{
	*outcome = (struct outcome){.reason = reason, .retry_after_ms = retry_after_ms};
}

static void outcome_grant(const struct cart *cart, const struct line *line, bool repeated, uint64_t remaining,
	struct outcome *outcome)
{
	*outcome = (struct outcome){
		.hold = line->id,
		.state = line->state,
		.repeated = repeated,
		.quantity = line->quantity,
		.deadline_ms = lines_deadline_ms(&cart->lines, line),
		.price_micros = line->price_micros,
		.remaining = remaining,
		.user_units = usage_taken(line->usage),
	};
}

static void cart_count(struct cart *cart, const struct outcome *outcome)
{
	if (outcome->reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN)
		cart->counters.unknown++;
	else if (outcome->reason)
		cart->counters.refused++;
	else if (outcome->repeated)
		cart->counters.repeated++;
	else
		cart->counters.granted++;
}

/* All that wait hear the same. */
static void attempt_decide(struct cart *cart, struct attempt *attempt, const struct outcome *outcome)
{
	while (attempt->waiters) {
		struct waiter *waiter = attempt->waiters;

		attempt_leave(waiter);
		waiter->outcome = *outcome;
		cart_count(cart, outcome);
		cart->options.effects.decided(cart->options.context, waiter);
	}
}

void attempt_refuse(
	struct cart *cart, struct attempt *attempt, Common__Reason reason, uint32_t retry_after_ms)
{
	struct outcome outcome;

	outcome_refuse(&outcome, reason, retry_after_ms);
	attempt_decide(cart, attempt, &outcome);
	attempts_free(&cart->attempts, attempt);
}

void attempt_tell_line(
	struct cart *cart, struct attempt *attempt, const struct line *line, uint64_t remaining)
{
	struct outcome outcome;

	outcome_grant(cart, line, false, remaining, &outcome);
	attempt_decide(cart, attempt, &outcome);
}

/* Why a link that is not usable has not answered. */
static Common__Reason link_reason(const struct cart_link *link)
{
	assert(!link->stopped); /* nothing waits for one */
	return link->was_usable ? COMMON__REASON__REASON_DEPENDENCY_DOWN : COMMON__REASON__REASON_STARTING;
}

static Common__Reason limit_reason(const struct cart *cart, const struct usage *usage,
	const struct limit *limit, uint32_t quantity, int64_t now_ms)
{
	struct limit_count count = {.taken = usage_taken(usage), .pending = usage->pending};
	enum limit_verdict verdict;

	verdict = limit_judge(limit, &count, quantity);
	if (verdict == LIMIT_EXCEEDED) {
		count.overdue = lines_overdue(&cart->lines, usage, now_ms);
		verdict = limit_judge(limit, &count, quantity);
	}
	switch (verdict) {
	case LIMIT_FITS:
		return COMMON__REASON__REASON_UNSPECIFIED;
	case LIMIT_UNDECIDED:
		return COMMON__REASON__REASON_IN_PROGRESS;
	case LIMIT_EXCEEDED:
		break;
	}
	return COMMON__REASON__REASON_LIMIT_REACHED;
}

static uint32_t reason_retry_ms(Common__Reason reason)
{
	return reason == COMMON__REASON__REASON_IN_PROGRESS ? ASK_SHORTLY_MS : 0;
}

static void attempt_send(struct cart *cart, struct attempt *attempt)
{
	attempt_set_pending(attempt, true);
	attempt->epoch = cart->links[attempt->usage->goods->shard].fence.accepted;
	attempts_move(&cart->attempts, attempt, ATTEMPT_SENT);
	cart->options.effects.send(cart->options.context, attempt);
}

/* A queued attempt leaves; what has come to pass while it waited counts. */
void attempt_dispatch(struct cart *cart, struct attempt *attempt, int64_t now_ms)
{
	struct line *line = attempt->keyed ? lines_find_key(&cart->lines, &attempt->key) : NULL;
	Common__Reason reason;
	struct outcome outcome;

	assert(attempt->state == ATTEMPT_QUEUED && !attempt->pending);
	if (line) {
		if (key_equal(&line->fingerprint, &attempt->fingerprint))
			outcome_grant(cart, line, true, 0, &outcome);
		else
			outcome_refuse(&outcome, COMMON__REASON__REASON_KEY_REUSED, 0);
		attempt_decide(cart, attempt, &outcome);
		attempts_free(&cart->attempts, attempt);
		return;
	}
	reason = limit_reason(cart, attempt->usage, &attempt->limit, attempt->quantity, now_ms);
	if (reason)
		attempt_refuse(cart, attempt, reason, reason_retry_ms(reason));
	else
		attempt_send(cart, attempt);
}

/* It never took effect: again, while somebody waits for it. */
void attempt_requeue(struct cart *cart, struct attempt *attempt, int64_t now_ms)
{
	struct cart_link *link = &cart->links[attempt->usage->goods->shard];

	attempt_set_pending(attempt, false);
	if (!attempt->waiters || attempt->deadline_ms <= now_ms || link->stopped) {
		attempt_refuse(cart, attempt, COMMON__REASON__REASON_DEPENDENCY_DOWN, 0);
		return;
	}
	attempts_move(&cart->attempts, attempt, ATTEMPT_QUEUED);
	if (link->usable)
		attempt_dispatch(cart, attempt, now_ms);
}

static bool add_refuse(struct cart *cart, struct waiter *waiter, Common__Reason reason)
{
	outcome_refuse(&waiter->outcome, reason, reason_retry_ms(reason));
	cart_count(cart, &waiter->outcome);
	return true;
}

/* Whether the key decides already. */
static bool add_by_key(struct cart *cart, const struct add *add, struct waiter *waiter, bool *ret_joined)
{
	struct line *line = lines_find_key(&cart->lines, &add->key);
	struct attempt *attempt;

	if (line) {
		if (!key_equal(&line->fingerprint, &add->fingerprint))
			return add_refuse(cart, waiter, COMMON__REASON__REASON_KEY_REUSED);
		outcome_grant(cart, line, true, 0, &waiter->outcome);
		cart_count(cart, &waiter->outcome);
		return true;
	}
	attempt = attempts_find_key(&cart->attempts, &add->key);
	if (!attempt)
		return false;
	if (!key_equal(&attempt->fingerprint, &add->fingerprint))
		return add_refuse(cart, waiter, COMMON__REASON__REASON_KEY_REUSED);
	if (!attempt_join(attempt, waiter))
		return add_refuse(cart, waiter, COMMON__REASON__REASON_IN_PROGRESS);
	*ret_joined = true;
	return false;
}

/* NULL: there are too many. Takes the reference to the usage. */
static struct attempt *add_attempt(
	struct cart *cart, const struct add *add, struct usage *usage, struct waiter *waiter)
{
	struct id id = id_next(&cart->ids);
	struct attempt *attempt = attempts_new(&cart->attempts, &id, usage, add->session, add->quantity,
		add->keyed ? &add->key : NULL, add->keyed ? &add->fingerprint : NULL);
	bool joined;

	if (!attempt) {
		lines_unuse(&cart->lines, usage);
		return NULL;
	}
	attempt->limit = add->limit;
	joined = attempt_join(attempt, waiter);
	assert(joined);
	return attempt;
}

bool cart_add(struct cart *cart, const struct add *add, struct waiter *waiter, int64_t now_ms)
{
	Common__Reason reason = COMMON__REASON__REASON_UNSPECIFIED;
	struct attempt *attempt = NULL;
	bool joined = false;
	struct usage *usage;
	struct cart_link *link;

	waiter->attempt = NULL;
	if (add->keyed && add_by_key(cart, add, waiter, &joined))
		return true;
	if (joined)
		return false;
	usage = lines_use(&cart->lines, add->user, add->sku);
	link = &cart->links[usage->goods->shard];
	if (link->stopped)
		reason = COMMON__REASON__REASON_DEPENDENCY_DOWN;
	else if (link->usable)
		reason = limit_reason(cart, usage, &add->limit, add->quantity, now_ms);
	else if (attempts_list(&cart->attempts, usage->goods->shard, ATTEMPT_QUEUED)->count >=
		 cart->options.queue_max)
		reason = COMMON__REASON__REASON_OVERLOADED;
	if (reason) {
		lines_unuse(&cart->lines, usage);
		return add_refuse(cart, waiter, reason);
	}
	attempt = add_attempt(cart, add, usage, waiter);
	if (!attempt)
		return add_refuse(cart, waiter, COMMON__REASON__REASON_OVERLOADED);
	if (link->usable)
		attempt_send(cart, attempt);
	return false;
}

void cart_give_up(struct cart *cart, struct waiter *waiter)
{
	struct attempt *attempt = waiter->attempt;
	struct line *line;

	assert(attempt);
	attempt_leave(waiter);
	if (attempt->state == ATTEMPT_QUEUED) {
		outcome_refuse(&waiter->outcome, link_reason(&cart->links[attempt->usage->goods->shard]), 0);
		if (!attempt->waiters)
			attempts_free(&cart->attempts, attempt);
	} else {
		line = attempt->seen ? lines_find(&cart->lines, &attempt->id) : NULL;
		if (line)
			outcome_grant(cart, line, false, 0, &waiter->outcome);
		else
			outcome_refuse(&waiter->outcome, COMMON__REASON__REASON_OUTCOME_UNKNOWN, 0);
	}
	cart_count(cart, &waiter->outcome);
}

/* The answer comes before the ledger's entry: its line is made from it. */
static struct line *line_from_answer(
	struct cart *cart, const struct attempt *attempt, const struct answer *answer, int64_t now_ms)
{
	const struct name *session = attempt->session;
	const struct hold hold = {
		.id = attempt->id,
		.session = {session ? session->text : "", session ? session->length : 0},
		.key = attempt->key,
		.fingerprint = attempt->fingerprint,
		.keyed = attempt->keyed,
		.state = answer->state,
		.ended_ms = now_ms,
		.quantity = answer->quantity,
		.deadline_ms = answer->deadline_ms,
		.price_micros = answer->price_micros,
		.version = answer->version,
	};
	struct line *line;

	lines_keep(attempt->usage);
	line = lines_add_to(&cart->lines, attempt->usage, &hold);
	line->unseen = true;
	return line;
}

static void attempt_granted(
	struct cart *cart, struct attempt *attempt, const struct answer *answer, int64_t now_ms)
{
	struct cart_link *link = &cart->links[attempt->usage->goods->shard];
	struct line *line;

	attempt_set_pending(attempt, false);
	if (answer->sequence <= link->position) {
		cart->counters.anomalies++; /* the ledger has passed it and does not have it */
		attempt_refuse(cart, attempt, COMMON__REASON__REASON_OUTCOME_UNKNOWN, 0);
		return;
	}
	line = line_from_answer(cart, attempt, answer, now_ms);
	if (link->stopped) /* the ledger will not tell of it: for whoever reconciles */
		cart->options.effects.changed(cart->options.context, line);
	attempt->epoch = link->fence.accepted;
	attempts_move(&cart->attempts, attempt, ATTEMPT_GRANTED);
	attempt_tell_line(cart, attempt, line, answer->remaining);
}

static void attempt_lost(struct cart *cart, struct attempt *attempt)
{
	uint32_t shard = attempt->usage->goods->shard;

	attempt->epoch = cart->links[shard].fence.accepted;
	attempts_move(&cart->attempts, attempt, ATTEMPT_UNKNOWN);
	cart_doubt(cart, shard);
}

static void attempt_refused(
	struct cart *cart, struct attempt *attempt, const struct answer *answer, int64_t now_ms)
{
	uint32_t shard = attempt->usage->goods->shard;

	if (answer->reason == COMMON__REASON__REASON_STALE_EPOCH) {
		cart_stale(cart, shard, attempt->epoch);
		attempt_requeue(cart, attempt, now_ms);
		return;
	}
	if (answer->reason ==
		COMMON__REASON__REASON_GONE) { /* it was under way for longer than ids are kept */
		attempt_refuse(cart, attempt, COMMON__REASON__REASON_OVERLOADED, 0);
		return;
	}
	attempt_refuse(cart, attempt, answer->reason, answer->retry_after_ms);
}

/* Answers mostly come in the order of sending: what the next one will need is on its way into the cache meanwhile. */
static void expect_answer(const struct cart *cart, const struct attempt *attempt)
{
	if (!attempt)
		return;
	__builtin_prefetch(attempt->next);
	__builtin_prefetch(attempt->usage);
	__builtin_prefetch(attempt->waiters);
	if (attempt->keyed)
		map_expect(&cart->lines.by_key, key_short(&attempt->key));
}

void cart_answered(struct cart *cart, struct attempt *attempt, const struct answer *answer, int64_t now_ms)
{
	struct line *line;

	assert(attempt->state == ATTEMPT_SENT);
	expect_answer(cart, attempt->next);
	if (attempt->seen) { /* the ledger has spoken */
		line = lines_find(&cart->lines, &attempt->id);
		if (line)
			attempt_tell_line(
				cart, attempt, line, answer->kind == ANSWER_GRANT ? answer->remaining : 0);
		attempt_refuse(cart, attempt, COMMON__REASON__REASON_OUTCOME_UNKNOWN, 0);
		return;
	}
	switch (answer->kind) {
	case ANSWER_GRANT:
		attempt_granted(cart, attempt, answer, now_ms);
		break;
	case ANSWER_REFUSAL:
		attempt_refused(cart, attempt, answer, now_ms);
		break;
	case ANSWER_UNSENT:
		if (attempt->deadline_ms > now_ms)
			cart_doubt(cart, attempt->usage->goods->shard);
		attempt_requeue(cart, attempt, now_ms);
		break;
	case ANSWER_BUSY:
		attempt_refuse(cart, attempt, COMMON__REASON__REASON_OVERLOADED, 0);
		break;
	case ANSWER_LOST:
		attempt_lost(cart, attempt);
		break;
	}
}

enum key_verdict cart_lookup_key(
	struct cart *cart, const struct hash128 *key, const struct hash128 *fingerprint, struct outcome *ret)
{
	const struct line *line = lines_find_key(&cart->lines, key);
	const struct attempt *attempt;

	if (line && key_equal(&line->fingerprint, fingerprint)) {
		outcome_grant(cart, line, true, 0, ret);
		return KEY_GRANTED;
	}
	attempt = line ? NULL : attempts_find_key(&cart->attempts, key);
	if (!line && !attempt)
		return KEY_UNKNOWN;
	if (line || !key_equal(&attempt->fingerprint, fingerprint))
		outcome_refuse(ret, COMMON__REASON__REASON_KEY_REUSED, 0);
	else
		outcome_refuse(ret, COMMON__REASON__REASON_IN_PROGRESS, ASK_SHORTLY_MS);
	return KEY_REFUSED;
}
