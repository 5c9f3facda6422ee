/* Goods and fences in memory. */
#include "inventory/books_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

unsigned books_sku_hash(const void *sku, size_t size)
{
	unsigned hash;

	HASH_VALUE(sku, size, hash);
	return hash;
}

struct goods_row *books_row(struct books *books, const void *sku, size_t size, unsigned hash)
{
	struct goods_row *row;

	HASH_FIND_BYHASHVALUE(hh, books->by_sku, sku, size, hash, row);
	return row;
}

void books_row_insert(struct books *books, struct goods_row *row)
{
	if (books->row_count == books->row_room) {
		books->row_room = books->row_room ? books->row_room * 2 : 64;
		books->rows = memory_resize(books->rows, books->row_room, sizeof(*books->rows));
	}
	assert(row->now.number == books->row_count);
	books->rows[books->row_count++] = row;
	HASH_ADD_KEYPTR(hh, books->by_sku, row->now.sku, strlen(row->now.sku), row);
}

struct goods_row *books_row_new(struct books *books, const char *sku)
{
	struct goods_row *row = NEW(struct goods_row);

	assert(strlen(sku) <= SKU_MAX && books->row_count < GOODS_COUNT_MAX);
	strcpy(row->now.sku, sku);
	row->now.number = books->row_count;
	books_row_insert(books, row);
	return row;
}

/* The newest rows go, back to `count`. */
void books_rows_truncate(struct books *books, uint32_t count)
{
	while (books->row_count > count) {
		struct goods_row *row = books->rows[--books->row_count];

		HASH_DEL(books->by_sku, row);
		free(row);
	}
}

void books_row_touch(struct books *books, struct goods_row *row)
{
	if (row->dirty)
		return;
	row->dirty = true;
	row->next_dirty = books->dirty;
	books->dirty = row;
}

struct cart_row *books_cart(struct books *books, uint32_t shard)
{
	struct cart_row *cart;

	HASH_FIND(hh, books->carts, &shard, sizeof(shard), cart);
	if (!cart) {
		cart = NEW(struct cart_row);
		cart->shard = shard;
		HASH_ADD(hh, books->carts, shard, sizeof(shard), cart);
	}
	return cart;
}

void books_cart_touch(struct books *books, struct cart_row *cart)
{
	if (cart->dirty)
		return;
	cart->dirty = true;
	cart->next_dirty = books->dirty_carts;
	books->dirty_carts = cart;
}
