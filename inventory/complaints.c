#include "inventory/complaints.h"

#include <string.h>

#include "google/protobuf/duration.pb-c.h"

#define SKU_WANTED "expected 1 to 64 characters of A-Z a-z 0-9 . _ -"
#define STOCK_WANTED "expected 0 to 1,000,000,000,000"

static const struct complaint content;

static struct complaint complain(const char *field, const char *why)
{
	return (struct complaint){field, why};
}

bool sku_valid(const char *sku)
{
	size_t length = 0;

	for (; sku[length]; length++) {
		char c = sku[length];
		bool good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '.' || c == '_' || c == '-';

		if (!good || length >= SKU_MAX)
			return false;
	}
	return length > 0;
}

struct complaint complain_sku(const char *sku)
{
	return sku_valid(sku) ? content : complain("sku", SKU_WANTED);
}

struct complaint sender_fill(const Inventory__Sender *sender, struct sender *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!sender)
		return content;
	if (sender->cart_shards < 1 || sender->cart_shards > CART_SHARDS_MAX)
		return complain("sender.cart_shards", "expected 1 to 4,096");
	if (sender->cart_shard >= sender->cart_shards)
		return complain("sender.cart_shard", "expected less than cart_shards");
	if (sender->epoch < 1 || sender->epoch > EPOCH_MAX)
		return complain("sender.epoch", "expected 1 to 9223372036854775807");
	if (sender->instance.len != INSTANCE_BYTES)
		return complain("sender.instance", "expected 16 bytes");
	ret->given = true;
	ret->cart_shard = sender->cart_shard;
	ret->cart_shards = sender->cart_shards;
	ret->epoch = sender->epoch;
	memcpy(ret->instance, sender->instance.data, INSTANCE_BYTES);
	return content;
}

struct complaint stored_fill(const char *lineage, uint64_t position, struct stored_ledger *ret)
{
	*ret = (struct stored_ledger){.position = position};
	if (lineage[0] && !id_parse(lineage, &ret->lineage))
		return complain("lineage", "expected a UUID in its canonical form, or nothing");
	if (!lineage[0] && position)
		return complain("lineage", "must be given with a position");
	return content;
}

/* Milliseconds; what is finer is cut off. False: not a duration, or beyond the range. */
static bool duration_get(
	const Google__Protobuf__Duration *duration, int64_t min_ms, int64_t max_ms, int64_t *ret_ms)
{
	int64_t ms;

	if (duration->seconds < 0 || duration->seconds > max_ms / 1000 + 1 || duration->nanos < 0 ||
		duration->nanos > 999999999)
		return false;
	ms = duration->seconds * 1000 + duration->nanos / 1000000;
	if (ms < min_ms || ms > max_ms)
		return false;
	*ret_ms = ms;
	return true;
}

static struct complaint hold_ttl_fill(const Google__Protobuf__Duration *ttl, int64_t *ret_ms)
{
	if (ttl && !duration_get(ttl, HOLD_TTL_MIN_MS, HOLD_TTL_MAX_MS, ret_ms))
		return complain("hold_ttl", "expected 100 ms to 24 h");
	return content;
}

static bool currency_fill(const char *text, char ret[4])
{
	if (text[0] == '\0')
		text = "USD";
	if (strlen(text) != 3)
		return false;
	for (int i = 0; i < 3; i++)
		if (text[i] < 'A' || text[i] > 'Z')
			return false;
	memcpy(ret, text, 4);
	return true;
}

static bool price_valid(int64_t micros)
{
	return micros >= 0 && micros <= PRICE_MAX;
}

#define PRICE_WANTED "expected 0 to 1,000,000,000 with at most six decimals"

struct complaint goods_terms_fill(const Inventory__CreateGoodsRequest *request, struct goods_terms *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!sku_valid(request->sku))
		return complain("sku", SKU_WANTED);
	if (request->quantity > (uint64_t)STOCK_MAX)
		return complain("quantity", STOCK_WANTED);
	if (!price_valid(request->price_micros))
		return complain("price_micros", PRICE_WANTED);
	if (!currency_fill(request->currency, ret->currency))
		return complain("currency", "expected three capital letters of ISO 4217");
	ret->quantity = (int64_t)request->quantity;
	ret->price_micros = request->price_micros;
	return hold_ttl_fill(request->hold_ttl, &ret->hold_ttl_ms);
}

struct complaint goods_update_fill(const Inventory__UpdateGoodsRequest *request, struct goods_update *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!sku_valid(request->sku))
		return complain("sku", SKU_WANTED);
	ret->if_version = request->if_version;
	ret->has_quantity =
		request->quantity_change_case == INVENTORY__UPDATE_GOODS_REQUEST__QUANTITY_CHANGE_QUANTITY;
	if (ret->has_quantity && request->quantity > (uint64_t)STOCK_MAX)
		return complain("quantity", STOCK_WANTED);
	if (ret->has_quantity)
		ret->quantity = (int64_t)request->quantity;
	ret->has_price =
		request->price_change_case == INVENTORY__UPDATE_GOODS_REQUEST__PRICE_CHANGE_PRICE_MICROS;
	if (ret->has_price && !price_valid(request->price_micros))
		return complain("price_micros", PRICE_WANTED);
	if (ret->has_price)
		ret->price_micros = request->price_micros;
	ret->has_hold_ttl = request->hold_ttl != NULL;
	return hold_ttl_fill(request->hold_ttl, &ret->hold_ttl_ms);
}

struct complaint hold_id_fill(const char *text, struct id *ret)
{
	if (!id_parse(text, ret) || id_is_zero(ret))
		return complain("hold_id", "expected a UUID in its canonical form");
	return content;
}

struct complaint order_id_fill(const char *text, struct id *ret)
{
	if (!id_parse(text, ret) || id_is_zero(ret))
		return complain("order_id", "expected a UUID in its canonical form");
	return content;
}

static bool text_fill(const char *text, size_t min, size_t max, struct bytes *ret)
{
	size_t length = strlen(text);

	if (length < min || length > max)
		return false;
	*ret = (struct bytes){text, (uint8_t)length};
	return true;
}

static bool hash_fill(const ProtobufCBinaryData *data, struct bytes *ret)
{
	if (data->len != 0 && data->len != HASH_BYTES)
		return false;
	*ret = (struct bytes){data->data, (uint8_t)data->len};
	return true;
}

struct complaint payment_fill(const char *text, struct bytes *ret)
{
	return text_fill(text, 1, PAYMENT_MAX, ret)
		       ? content
		       : complain("payment_reference", "expected 1 to 128 bytes");
}

struct complaint hold_request_fill(
	const Inventory__NewHold *hold, int64_t now_ns, int64_t deadline_ns, struct hold_request *ret)
{
	ret->ttl_ms = 0;
	ret->quantity = hold->quantity;
	ret->deadline_ns = deadline_ns;
	if (hold->timeout_ms && now_ns + hold->timeout_ms * INT64_C(1000000) < deadline_ns)
		ret->deadline_ns = now_ns + hold->timeout_ms * INT64_C(1000000);
	if (!sku_valid(hold->sku))
		return complain("sku", SKU_WANTED);
	ret->sku = (struct bytes){hold->sku, (uint8_t)strlen(hold->sku)};
	ret->sku_hash = books_sku_hash(ret->sku.data, ret->sku.size);
	if (!text_fill(hold->user_id, 1, USER_MAX, &ret->user))
		return complain("user_id", "expected 1 to 64 bytes");
	if (!text_fill(hold->session_id, 0, SESSION_MAX, &ret->session))
		return complain("session_id", "expected at most 64 bytes");
	if (hold->quantity < 1 || hold->quantity > QUANTITY_MAX)
		return complain("quantity", "expected 1 to 1,000,000");
	if (hold->ttl && !duration_get(hold->ttl, 1, INT64_C(1000) * 86400 * 365, &ret->ttl_ms))
		return complain("ttl", "expected 1 ms to a year");
	if (!hash_fill(&hold->key_hash, &ret->key_hash))
		return complain("key_hash", "expected 16 bytes, or none");
	if (!hash_fill(&hold->fingerprint, &ret->fingerprint))
		return complain("fingerprint", "expected 16 bytes, or none");
	return hold_id_fill(hold->hold_id, &ret->id);
}

/* A hundred at most: looking back is quicker than any table. */
static bool is_listed(const struct id *ids, uint32_t count, const struct id *id)
{
	for (uint32_t i = 0; i < count; i++)
		if (id_compare(&ids[i], id) == 0)
			return true;
	return false;
}

struct complaint bind_request_fill(const Inventory__BindOrderHoldsRequest *request, struct bind_request *ret)
{
	ret->ttl_ms = 0;
	ret->hold_count = 0;
	if (!text_fill(request->user_id, 1, USER_MAX, &ret->user))
		return complain("user_id", "expected 1 to 64 bytes");
	if (request->n_hold_ids < 1 || request->n_hold_ids > ORDER_HOLDS_MAX)
		return complain("hold_ids", "expected 1 to 100");
	if (request->ttl && !duration_get(request->ttl, 1, INT64_C(1000) * 86400 * 365, &ret->ttl_ms))
		return complain("ttl", "expected 1 ms to a year");
	for (; ret->hold_count < request->n_hold_ids; ret->hold_count++) {
		struct id *id = &ret->holds[ret->hold_count];

		if (hold_id_fill(request->hold_ids[ret->hold_count], id).field)
			return complain("hold_ids", "expected UUIDs in their canonical form");
		if (is_listed(ret->holds, ret->hold_count, id))
			return complain("hold_ids", "expected each once");
	}
	return order_id_fill(request->order_id, &ret->order);
}
