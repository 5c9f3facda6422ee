/* cart/messages.c - see messages.h. */
#include "cart/messages.h"

#include <assert.h>
#include <stdlib.h>

#include "rpc/timestamp.h"

#define NAME_WHY "expected 1 to 64 bytes"

static const struct complaint fine = {NULL, NULL};

struct complaint complain_user(const char *user)
{
	size_t length = strlen(user);

	return length && length <= LINES_NAME_MAX ? fine : (struct complaint){"user_id", NAME_WHY};
}

struct complaint complain_session(const char *session)
{
	return strlen(session) <= LINES_NAME_MAX
		       ? fine
		       : (struct complaint){"session_id", "expected at most 64 bytes"};
}

struct complaint complain_sku(const char *sku)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(sku);

	return length && length <= LINES_NAME_MAX && strspn(sku, allowed) == length
		       ? fine
		       : (struct complaint){"sku", "expected 1 to 64 characters of A-Z a-z 0-9 . _ -"};
}

static struct complaint complain_key(const char *key)
{
	return strlen(key) <= ITEM_KEY_BYTES_MAX
		       ? fine
		       : (struct complaint){"idempotency_key", "expected at most 128 bytes"};
}

static struct complaint complain_quantity(uint32_t quantity)
{
	return quantity && quantity <= ITEM_UNITS_MAX
		       ? fine
		       : (struct complaint){"quantity", "expected 1 to 1000000"};
}

static struct complaint complain_limit(const Common__Limit *limit)
{
	if (!limit || limit->kind_case == COMMON__LIMIT__KIND__NOT_SET)
		return (struct complaint){"limit", "expected a limit: absent never means unlimited"};
	if (limit->kind_case == COMMON__LIMIT__KIND_UNITS && (!limit->units || limit->units > ITEM_UNITS_MAX))
		return (struct complaint){"limit.units", "expected 1 to 1000000"};
	return fine;
}

static struct complaint complain_names(const Cart__NewItem *item)
{
	struct complaint complaint = complain_user(item->user_id);

	if (!complaint.field)
		complaint = complain_session(item->session_id);
	if (!complaint.field)
		complaint = complain_sku(item->sku);
	if (!complaint.field)
		complaint = complain_key(item->idempotency_key);
	return complaint;
}

struct complaint complain_item(const Cart__NewItem *item)
{
	struct complaint complaint = complain_names(item);

	if (!complaint.field)
		complaint = complain_quantity(item->quantity);
	if (!complaint.field)
		complaint = complain_limit(item->limit);
	return complaint;
}

struct complaint complain_update(const Cart__NewItem *item)
{
	return item->quantity ? complain_item(item) : complain_names(item);
}

struct complaint complain_lookup(const Cart__KeyLookup *item)
{
	struct complaint complaint = complain_user(item->user_id);

	if (!complaint.field)
		complaint = complain_sku(item->sku);
	if (!complaint.field && !item->idempotency_key[0])
		complaint = (struct complaint){"idempotency_key", "expected 1 to 128 bytes"};
	if (!complaint.field)
		complaint = complain_key(item->idempotency_key);
	if (!complaint.field)
		complaint = complain_quantity(item->quantity);
	return complaint;
}

struct limit item_limit(const Cart__NewItem *item)
{
	if (item->limit->kind_case == COMMON__LIMIT__KIND_UNLIMITED)
		return (struct limit){.unlimited = true};
	return (struct limit){.units = item->limit->units};
}

void item_add(const Cart__NewItem *item, enum key_operation operation, struct add *ret)
{
	struct span key = span_of(item->idempotency_key);

	*ret = (struct add){
		.user = span_of(item->user_id),
		.session = span_of(item->session_id),
		.sku = span_of(item->sku),
		.quantity = item->quantity,
		.limit = item_limit(item),
		.keyed = key.length != 0,
	};
	if (!ret->keyed)
		return;
	ret->key = key_scope(ret->user.text, ret->user.length, key.text, key.length);
	ret->fingerprint = key_fingerprint(operation, ret->sku.text, ret->sku.length, item->quantity);
}

void outcome_grant_set(struct outcome_message *message, const struct outcome *outcome)
{
	Cart__ItemGrant *grant = &message->grant;

	cart__item_grant__init(grant);
	timestamp_set(&message->deadline, outcome->deadline_ms);
	grant->hold_id = id_format(&outcome->hold, message->id);
	grant->state = (Inventory__HoldState)outcome->state;
	grant->quantity = outcome->quantity;
	grant->deadline = &message->deadline;
	grant->price_micros = outcome->price_micros;
	grant->remaining = outcome->remaining;
	grant->user_units = outcome->user_units;
	grant->repeated = outcome->repeated;
}

void outcome_refusal_set(struct outcome_message *message, Common__Reason reason, uint32_t retry_after_ms)
{
	common__refusal__init(&message->refusal);
	message->refusal.reason = reason;
	message->refusal.retry_after_ms = retry_after_ms;
}

/* ---- lines of a cart ---- */

static struct span session_of(const struct line *line)
{
	if (!line->session)
		return (struct span){"", 0};
	return (struct span){line->session->text, line->session->length};
}

static bool line_asked_for(const struct line *line, const struct line_query *query)
{
	return line_in_cart(line) && (!query->session.text || span_equal(session_of(line), query->session));
}

static size_t usage_holds(const struct usage *usage, const struct line_query *query, struct line **ret,
	size_t count, size_t max)
{
	struct line *line = usage->lines;

	for (; line; line = line->next) {
		if (!line_asked_for(line, query))
			continue;
		if (count < max)
			ret[count] = line;
		count++;
	}
	return count;
}

size_t message_holds(const struct lines *lines, const struct line_query *query, struct line **ret, size_t max)
{
	const struct usage *usage = lines_usage(lines, query->user, query->sku);

	return usage ? usage_holds(usage, query, ret, 0, max) : 0;
}

static size_t person_holds(
	const struct lines *lines, const struct line_query *query, struct line **ret, size_t max)
{
	const struct person *person = lines_person(lines, query->user);
	const struct usage *usage = person ? person->usages : NULL;
	size_t count = 0;

	if (query->sku.text)
		return message_holds(lines, query, ret, max);
	for (; usage; usage = usage->next)
		count = usage_holds(usage, query, ret, count, max);
	return count;
}

static int compare_spans(struct span a, struct span b)
{
	int order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* By SKU and session, the newest first. */
static int compare_lines(const void *a, const void *b)
{
	const struct line *one = *(struct line *const *)a, *other = *(struct line *const *)b;
	int order = strcmp(one->usage->goods->sku, other->usage->goods->sku);

	if (!order)
		order = compare_spans(session_of(one), session_of(other));
	return order ? order : id_compare(&other->id, &one->id);
}

static int compare_ages(const void *a, const void *b)
{
	return id_compare(&(*(struct line *const *)b)->id, &(*(struct line *const *)a)->id);
}

static bool line_goes_on(const struct line *before, const struct line *line, bool together)
{
	return before->usage == line->usage && (together || span_equal(session_of(before), session_of(line)));
}

/* One line of the answer from the holds of one SKU and session. */
static Cart__CartLine *message_line(
	struct arena *arena, const struct lines *lines, struct line *const *holds, size_t count)
{
	Cart__CartLine *message = ARENA_NEW(arena, Cart__CartLine);
	int64_t deadline_ms = lines_deadline_ms(lines, holds[0]);

	if (!message)
		return NULL;
	cart__cart_line__init(message);
	message->session_id = arena_text(arena, session_of(holds[0]).text, session_of(holds[0]).length);
	message->user_id = holds[0]->usage->person->user;
	message->sku = holds[0]->usage->goods->sku;
	message->price_micros = holds[0]->price_micros;
	message->n_hold_ids = count;
	message->hold_ids = ARENA_ARRAY(arena, count, char *);
	for (size_t i = 0; i < count && !arena_exhausted(arena); i++) {
		message->quantity += holds[i]->quantity;
		if (deadline_ms > lines_deadline_ms(lines, holds[i]))
			deadline_ms = lines_deadline_ms(lines, holds[i]);
		message->hold_ids[i] = arena_alloc(arena, ID_TEXT_LENGTH + 1);
		if (message->hold_ids[i])
			id_format(&holds[i]->id, message->hold_ids[i]);
	}
	message->deadline = timestamp_new(arena, deadline_ms);
	return arena_exhausted(arena) ? NULL : message;
}

bool message_lines(struct arena *arena, const struct lines *lines, const struct line_query *query,
	size_t *ret_count, Cart__CartLine ***ret)
{
	size_t count = person_holds(lines, query, NULL, 0), first, next;
	struct line **holds;

	*ret_count = 0;
	*ret = NULL;
	if (!count)
		return true;
	if (count > CART_HOLDS_MAX)
		count = CART_HOLDS_MAX;
	holds = ARENA_ARRAY(arena, count, struct line *);
	*ret = ARENA_ARRAY(arena, count < CART_LINES_MAX ? count : CART_LINES_MAX, Cart__CartLine *);
	if (!holds || !*ret)
		return false;
	person_holds(lines, query, holds, count);
	qsort(holds, count, sizeof(*holds), query->together ? compare_ages : compare_lines);
	for (first = 0; first < count && *ret_count < CART_LINES_MAX; first = next) {
		for (next = first + 1; next < count; next++)
			if (!line_goes_on(holds[first], holds[next], query->together))
				break;
		(*ret)[*ret_count] = message_line(arena, lines, holds + first, next - first);
		if (!(*ret)[(*ret_count)++])
			return false;
	}
	return true;
}
