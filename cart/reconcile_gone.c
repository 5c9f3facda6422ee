/* cart/reconcile_gone.c - what inventory has let go of by its own rules: it had ended, or its sale was archived. That is no loss to be made good. See reconcile.h. */
#include "cart/reconcile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static struct reconcile_archived *archived_find(const struct reconcile *r, struct span sku)
{
	struct reconcile_archived *archived;

	HASH_FIND(hh, r->archived, sku.text, sku.length, archived);
	return archived;
}

void reconcile_hear_archived(struct reconcile *r, struct span sku, int64_t time_ms)
{
	struct reconcile_archived *archived = archived_find(r, sku);

	if (!archived) {
		assert(sku.length <= LINES_NAME_MAX);
		archived = NEW(struct reconcile_archived);
		memcpy(archived->sku, sku.text, sku.length);
		HASH_ADD_KEYPTR(hh, r->archived, archived->sku, sku.length, archived);
	}
	archived->time_ms = time_ms;
}

void reconcile_release_archived(struct reconcile *r)
{
	struct reconcile_archived *archived, *next;

	HASH_ITER (hh, r->archived, archived, next) {
		HASH_DEL(r->archived, archived);
		free(archived);
	}
}

/* What we know, inventory knew: what it does not have any more has ended there. */
static bool same_history(const struct reconcile *r)
{
	return id_compare(&r->position.lineage, &r->lineage) == 0 && r->position.sequence <= r->head;
}

/* What was made before the archive was a part of it, or had ended before; the goods are opened again after it at the earliest. */
static bool made_before_archive(const struct reconcile *r, struct span sku, int64_t created_ms)
{
	const struct reconcile_archived *archived = archived_find(r, sku);

	return archived && created_ms < archived->time_ms;
}

bool reconcile_hold_is_gone(const struct reconcile *r, const struct line *line)
{
	const struct goods *goods = line->usage->goods;

	return same_history(r) ||
	       made_before_archive(r, (struct span){goods->sku, goods->length}, line->created_ms);
}

bool reconcile_order_is_gone(const struct reconcile *r, const struct order *order)
{
	if (same_history(r))
		return true;
	for (uint32_t i = 0; i < order->item_count; i++)
		if (made_before_archive(r, span_of(order->items[i].sku), order->created_ms))
			return true;
	return false;
}
