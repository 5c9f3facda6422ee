/* inventory/exporter.c - see exporter.h. */
#include "inventory/exporter.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inventory/books.h"
#include "inventory/messages.h"
#include "rpc/reason.h"

#define PAGE_ENTRIES 512
#define PAGE_SCAN 8192

/* One page on its way: what it reads, and how it fails. */
struct page {
	struct exporter *exporter;
	MDB_txn *txn;
	struct arena *arena;
	struct rpc_status *status;
	bool failed; /* the status says why */
};

static int fail(struct page *page, Common__Reason reason, const char *sku, const char *why)
{
	rpc_status_set_reason(page->status, reason, "%s: %s", sku, why);
	page->failed = true;
	return ECANCELED;
}

/* The goods' rows as they are now. The first time they are looked at, afterwards they are compared. */
static int read_goods(struct page *page, uint64_t floor, struct goods goods[ARCHIVE_GOODS_MAX])
{
	struct exporter *self = page->exporter;

	for (uint32_t i = 0; i < self->sale.count; i++) {
		const char *sku = self->sale.skus[i], *why;
		int rc = books_read_goods(page->exporter->store, page->txn, sku, &goods[i]);

		if (rc == MDB_NOTFOUND)
			return fail(page, COMMON__REASON__REASON_UNKNOWN_SKU, sku, "there are no such goods");
		if (rc)
			return rc;
		why = archive_obstacle(&goods[i], floor);
		if (why)
			return fail(page, COMMON__REASON__REASON_WRONG_STATE, sku, why);
		if (self->begun && goods[i].last != self->sale.lasts[i])
			return fail(page, COMMON__REASON__REASON_VERSION_MISMATCH, sku,
				"it has changed meanwhile");
		self->sale.lasts[i] = goods[i].last;
		self->numbers[i] = goods[i].number;
	}
	return 0;
}

static bool has_sku(const struct exporter *self, const char *sku, size_t size)
{
	for (uint32_t i = 0; i < self->sale.count; i++)
		if (strlen(self->sale.skus[i]) == size && !memcmp(self->sale.skus[i], sku, size))
			return true;
	return false;
}

static bool has_number(const struct exporter *self, uint32_t number)
{
	for (uint32_t i = 0; i < self->sale.count; i++)
		if (self->numbers[i] == number)
			return true;
	return false;
}

/* An order's first entry has its items: all are of this sale, or none. */
static int check_items(struct page *page, const struct ledger_entry *entry)
{
	const char *ours = NULL, *other = NULL;
	struct order_item item;
	char why[ID_TEXT_LENGTH + SKU_MAX + 96], id[ID_TEXT_LENGTH + 1], sku[SKU_MAX + 1];
	size_t at = 0;

	while (ledger_order_item(entry, &at, &item)) {
		bool has = has_sku(page->exporter, item.sku, strlen(item.sku));

		if (has)
			ours = "";
		else
			other = strcpy(sku, item.sku);
	}
	if (!ours || !other)
		return 0;
	snprintf(why, sizeof(why), "order %s has goods %s besides: archive them together",
		id_format(&entry->order.id, id), other);
	return fail(page, COMMON__REASON__REASON_WRONG_STATE, "the sale", why);
}

static int is_order_ours(struct page *page, const struct ledger_entry *entry, bool *ret)
{
	struct order order;
	struct hold hold;
	int rc = check_items(page, entry);

	*ret = false;
	if (!rc)
		rc = books_read_order(page->exporter->store, page->txn, &entry->order.id, &order);
	if (!rc)
		rc = books_read_hold(page->exporter->store, page->txn, &order.holds[0], &hold);
	*ret = !rc && has_number(page->exporter, hold.goods);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int is_ours(struct page *page, const struct ledger_entry *entry, bool *ret)
{
	*ret = false;
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		*ret = has_sku(page->exporter, entry->created.sku.data, entry->created.sku.size);
		return 0;
	case LEDGER_HOLD_CHANGED:
		*ret = has_sku(page->exporter, entry->changed.sku.data, entry->changed.sku.size);
		return 0;
	case LEDGER_GOODS_CHANGED:
		*ret = has_sku(page->exporter, entry->goods.sku, strlen(entry->goods.sku));
		return 0;
	case LEDGER_GOODS_ARCHIVED:
		*ret = has_sku(page->exporter, entry->archived.sku.data, entry->archived.sku.size);
		return 0;
	case LEDGER_ORDER_CHANGED:
		return is_order_ours(page, entry, ret);
	case LEDGER_CART_FENCED:
	case LEDGER_INCARNATION:
		break;
	}
	return 0;
}

static int hash_message(struct page *page, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = arena_alloc(page->arena, size + 1);

	if (!bytes)
		return ENOMEM;
	protobuf_c_message_pack(message, bytes);
	hash_stream_add(page->exporter->hash, bytes, size);
	return 0;
}

static int tell_entry(struct page *page, uint64_t sequence, const struct ledger_entry *entry)
{
	struct exporter *self = page->exporter;
	Inventory__LedgerEntry *message = message_entry(page->arena, sequence, entry, self->standard_ttl_ms);

	if (!message)
		return ENOMEM;
	self->response.entries[self->response.n_entries++] = message;
	self->count++;
	return hash_message(page, &message->base);
}

static int tell_entries(struct page *page, MDB_cursor *cursor)
{
	struct exporter *self = page->exporter;
	uint8_t first[8];
	MDB_val key = {sizeof(first), first}, value;
	int rc;

	store_put_be64(first, self->position + 1);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (int looked = 0; !rc && looked < PAGE_SCAN && self->response.n_entries < PAGE_ENTRIES; looked++) {
		uint64_t sequence = store_get_be64(key.mv_data);
		struct ledger_entry entry;
		bool ours;

		if (sequence > self->end)
			break;
		if (!ledger_unpack(value.mv_data, value.mv_size, &entry))
			return MDB_CORRUPTED;
		rc = is_ours(page, &entry, &ours);
		if (!rc && ours)
			rc = tell_entry(page, sequence, &entry);
		if (rc)
			return rc;
		self->position = sequence;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (rc == MDB_NOTFOUND || store_get_be64(key.mv_data) > self->end)
		self->position = self->end;
	return 0;
}

static int tell_goods(struct page *page, const struct goods *goods)
{
	struct exporter *self = page->exporter;

	self->response.goods = ARENA_ARRAY(page->arena, self->sale.count, Inventory__Goods *);
	if (!self->response.goods)
		return ENOMEM;
	for (uint32_t i = 0; i < self->sale.count; i++) {
		Inventory__Goods *message = message_goods(page->arena, &goods[i], self->standard_ttl_ms);
		int rc = message ? hash_message(page, &message->base) : ENOMEM;

		if (rc)
			return rc;
		self->response.goods[self->response.n_goods++] = message;
	}
	return 0;
}

static void digest_format(const struct hash128 *digest, char text[DIGEST_TEXT_LENGTH + 1])
{
	for (size_t i = 0; i < sizeof(digest->bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", digest->bytes[i]);
}

static int read_page(struct page *page)
{
	struct exporter *self = page->exporter;
	struct goods goods[ARCHIVE_GOODS_MAX];
	struct archive archive;
	MDB_cursor *cursor;
	uint64_t floor;
	int rc = compaction_read_floor(self->store, page->txn, &floor);

	if (!rc)
		rc = archive_read(self->store, page->txn, &archive);
	if (!rc)
		rc = read_goods(page, floor, goods);
	for (uint32_t i = 0; !rc && i < self->sale.count; i++)
		if (archive_has(&archive, self->numbers[i]))
			rc = fail(page, COMMON__REASON__REASON_IN_PROGRESS, self->sale.skus[i],
				"it is being archived");
	if (!rc && !self->begun) {
		self->end = floor;
		rc = tell_goods(page, goods);
	}
	if (!rc)
		rc = mdb_cursor_open(page->txn, self->store->tables[TABLE_LEDGER], &cursor);
	if (rc)
		return rc;
	self->begun = true;
	rc = tell_entries(page, cursor);
	mdb_cursor_close(cursor);
	return rc;
}

static void page_failed(struct rpc_status *status, int rc)
{
	if (rc == ENOMEM)
		rpc_status_set_reason(
			status, COMMON__REASON__REASON_OVERLOADED, "a page is larger than a message may be");
	else
		rpc_status_set_reason(status, COMMON__REASON__REASON_STORE_FAILED,
			"the store can't be read: %s", mdb_strerror(rc));
}

bool exporter_page(struct exporter *self, struct arena *arena, struct rpc_status *status)
{
	struct page page = {.exporter = self, .arena = arena, .status = status};
	struct hash128 digest;
	int rc;

	assert(!self->ended);
	inventory__export_goods_response__init(&self->response);
	self->response.entries = ARENA_ARRAY(arena, PAGE_ENTRIES, Inventory__LedgerEntry *);
	rc = self->response.entries ? store_read_begin(self->store, &page.txn) : ENOMEM;
	if (!rc) {
		rc = read_page(&page);
		mdb_txn_abort(page.txn);
	}
	if (page.failed)
		return false;
	if (rc) {
		page_failed(status, rc);
		return false;
	}
	if (self->position >= self->end) {
		digest = hash_stream_get(self->hash);
		digest_format(&digest, self->digest);
		self->response.digest = self->digest;
		self->response.count = self->count;
		self->ended = true;
	}
	return true;
}

void exporter_init(struct exporter *self, struct store *store, int64_t standard_ttl_ms,
	const struct archive_request *sale)
{
	*self = (struct exporter){
		.store = store, .standard_ttl_ms = standard_ttl_ms, .sale = *sale, .hash = hash_stream_new()};
}

void exporter_release(struct exporter *self)
{
	hash_stream_free(self->hash);
}

/* ---- exports ---- */

void exports_add(struct exports *exports, const struct exporter *exporter)
{
	struct exported *exported = &exports->list[exports->next++ % EXPORTS_MAX];

	assert(exporter->ended);
	exported->sale = exporter->sale;
	exported->count = exporter->count;
	exported->begun = false;
	memcpy(exported->digest, exporter->digest, sizeof(exported->digest));
}

static bool same_sale(const struct archive_request *a, const struct archive_request *b)
{
	return a->count == b->count && memcmp(a->skus, b->skus, sizeof(a->skus)) == 0;
}

struct exported *exports_find(struct exports *exports, const struct archive_request *sale, const char *digest)
{
	for (size_t i = 0; i < EXPORTS_MAX; i++) {
		struct exported *exported = &exports->list[i];

		if (exported->sale.count && same_sale(&exported->sale, sale) &&
			!strcmp(exported->digest, digest))
			return exported;
	}
	return NULL;
}
