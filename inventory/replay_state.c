/* replay_state.c - see replay_state.h. */
#include "inventory/replay_state.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

#define SLOTS_FIRST 1024

void replay_list_init(struct replay_list *list, size_t size)
{
	*list = (struct replay_list){.size = size};
}

void replay_list_release(struct replay_list *list)
{
	free(list->things);
	free(list->slots);
}

static size_t slot_of(const struct replay_list *list, const struct id *id)
{
	return (size_t)hash64(id->bytes, ID_BYTES) & (list->slot_count - 1);
}

static void *thing(const struct replay_list *list, size_t index)
{
	return list->things + index * list->size;
}

void *replay_list_find(const struct replay_list *list, const struct id *id)
{
	if (!list->slot_count)
		return NULL;
	for (size_t slot = slot_of(list, id); list->slots[slot]; slot = (slot + 1) & (list->slot_count - 1))
		if (id_compare(thing(list, list->slots[slot] - 1), id) == 0)
			return thing(list, list->slots[slot] - 1);
	return NULL;
}

static void put_slot(struct replay_list *list, size_t index)
{
	size_t slot = slot_of(list, thing(list, index));

	while (list->slots[slot])
		slot = (slot + 1) & (list->slot_count - 1);
	list->slots[slot] = (uint32_t)(index + 1);
}

static void grow(struct replay_list *list)
{
	list->room = list->room ? list->room * 2 : SLOTS_FIRST / 2;
	list->things = memory_resize(list->things, list->room, list->size);
	free(list->slots);
	list->slot_count = list->room * 2;
	list->slots = NEW_ARRAY(list->slot_count, uint32_t);
	for (size_t i = 0; i < list->count; i++)
		put_slot(list, i);
}

void *replay_list_add(struct replay_list *list, const struct id *id)
{
	char *added;

	if (list->count == list->room)
		grow(list);
	assert(list->count < UINT32_MAX - 1);
	added = thing(list, list->count);
	memset(added, 0, list->size);
	memcpy(added, id->bytes, ID_BYTES);
	put_slot(list, list->count++);
	return added;
}

struct replay_goods *replay_goods_of(struct replay *r, const void *sku, size_t size)
{
	struct replay_goods *goods;

	HASH_FIND(hh, r->goods, sku, size, goods);
	if (goods)
		return goods;
	goods = NEW(struct replay_goods);
	memcpy(goods->goods.sku, sku, size);
	HASH_ADD_KEYPTR(hh, r->goods, goods->goods.sku, size, goods);
	return goods;
}

void replay_release(struct replay *r)
{
	struct replay_goods *goods, *next_goods;
	struct replay_cart *cart, *next_cart;

	HASH_ITER (hh, r->goods, goods, next_goods) {
		HASH_DEL(r->goods, goods);
		free(goods);
	}
	HASH_ITER (hh, r->carts, cart, next_cart) {
		HASH_DEL(r->carts, cart);
		free(cart);
	}
	replay_list_release(&r->holds);
	replay_list_release(&r->orders);
	free(r->items);
}

/* ---- findings ---- */

#define LINE_MAX_BYTES 512

static void __attribute__((format(printf, 3, 0)))
say(struct replay *r, const char *place, const char *format, va_list arguments)
{
	char line[LINE_MAX_BYTES];
	int length = snprintf(line, sizeof(line), "%s", place);

	vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
	r->result->findings++;
	r->found(r->context, line);
}

void replay_say(struct replay *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(r, "", format, arguments);
	va_end(arguments);
}

void replay_entry(struct replay *r, const char *format, ...)
{
	va_list arguments;
	char place[64];

	snprintf(place, sizeof(place), "entry %llu: ", (unsigned long long)r->sequence);
	va_start(arguments, format);
	say(r, place, format, arguments);
	va_end(arguments);
}

void replay_hold(struct replay *r, const struct replay_hold *hold, const char *format, ...)
{
	char place[64 + ID_TEXT_LENGTH + SKU_MAX], id[ID_TEXT_LENGTH + 1];
	va_list arguments;

	snprintf(place, sizeof(place), "entry %llu: hold %s of %s: ", (unsigned long long)r->sequence,
		id_format(&hold->id, id), hold->goods->goods.sku);
	va_start(arguments, format);
	say(r, place, format, arguments);
	va_end(arguments);
}

void replay_order(struct replay *r, const struct id *order, const char *format, ...)
{
	char place[64 + ID_TEXT_LENGTH], id[ID_TEXT_LENGTH + 1];
	va_list arguments;

	snprintf(place, sizeof(place), "entry %llu: order %s: ", (unsigned long long)r->sequence,
		id_format(order, id));
	va_start(arguments, format);
	say(r, place, format, arguments);
	va_end(arguments);
}

const char *replay_state_name(uint8_t state)
{
	static const char *const names[] = {"NOTHING", "HELD", "SOLD", "RELEASED", "EXPIRED", "REFUNDED"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "UNKNOWN";
}
