/* A sale told to its end, and dropped: ExportGoods and ArchiveGoods. See inventory/archive.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/change.h"
#include "rpc/reason.h"

/* ---- the goods of a sale ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Sorted, so that the same goods are the same sale. */
static struct complaint sale_fill(
	const char *sku, char *const *with, size_t with_count, struct archive_request *ret)
{
	struct complaint complaint = complain_sku(sku);

	memset(ret, 0, sizeof(*ret));
	if (complaint.field)
		return complaint;
	if (with_count >= ARCHIVE_GOODS_MAX)
		return (struct complaint){"with_skus", "expected at most 15"};
	strcpy(ret->skus[ret->count++], sku);
	for (size_t i = 0; i < with_count; i++) {
		if (!sku_valid(with[i]))
			return (struct complaint){
				"with_skus", "expected 1 to 64 characters of A-Z a-z 0-9 . _ - each"};
		strcpy(ret->skus[ret->count++], with[i]);
	}
	qsort(ret->skus, ret->count, sizeof(ret->skus[0]), by_text);
	for (uint32_t i = 1; i < ret->count; i++)
		if (!strcmp(ret->skus[i - 1], ret->skus[i]))
			return (struct complaint){"with_skus", "expected each SKU once"};
	return (struct complaint){0};
}

/* ---- ExportGoods ---- */

struct export_stream {
	struct inventory *inventory;
	struct exporter exporter;
};

static enum rpc_pull export_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct export_stream *self = cursor;

	if (self->exporter.ended)
		return RPC_END;
	if (!exporter_page(&self->exporter, scratch, status))
		return RPC_FAILED;
	if (self->exporter.ended)
		exports_add(&self->inventory->exports, &self->exporter);
	*ret = &self->exporter.response.base;
	return RPC_MORE;
}

static void export_end(void *cursor)
{
	struct export_stream *self = cursor;

	exporter_release(&self->exporter);
	free(self);
}

void inventory_export_goods(Inventory__InventoryService_Service *service,
	const Inventory__ExportGoodsRequest *request, Inventory__ExportGoodsResponse_Closure answer,
	void *call)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct rpc_stream stream = {.next = export_next, .end = export_end};
	struct archive_request sale;
	struct complaint complaint = sale_fill(request->sku, request->with_skus, request->n_with_skus, &sale);
	struct export_stream *self;

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	self = NEW(struct export_stream);
	self->inventory = inventory;
	exporter_init(&self->exporter, inventory->store, inventory->settings->hold_ttl_ms, &sale);
	stream.cursor = self;
	rpc_stream_open(call, &stream);
}

/* ---- ArchiveGoods ---- */

struct archiving {
	struct change change;
	Inventory__ArchiveGoodsResponse_Closure answer;
	struct inventory *inventory;
	struct exported exported; /* a copy: others may take its place */
	enum verdict verdict;
	uint32_t bad;
};

static int apply_archiving(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct archiving *self = container_of(change, struct archiving, change);

	return archive_begin(domain, &self->exported.sale, &self->verdict, &self->bad);
}

static void tell_begun(uint64_t count, Inventory__ArchiveGoodsResponse_Closure answer, void *call)
{
	Inventory__ArchiveGoodsResponse response = INVENTORY__ARCHIVE_GOODS_RESPONSE__INIT;

	response.count = count;
	answer(&response, call);
}

static void settle_archiving(struct change *change)
{
	struct archiving *self = container_of(change, struct archiving, change);
	struct exported *exported;

	if (!verdict_is_yes(self->verdict)) {
		rpc_fail_reason(change->call, verdict_reason(self->verdict),
			self->verdict == VERDICT_ARCHIVING
				? "%s: an archive is under way"
				: "%s: it can't be archived as it is now: export it "
				  "to hear why",
			self->exported.sale.skus[self->bad]);
		return;
	}
	exported = exports_find(&self->inventory->exports, &self->exported.sale, self->exported.digest);
	if (exported)
		exported->begun = true;
	tell_begun(self->exported.count, self->answer, change->call);
}

INVENTORY_METHOD(archive_goods, ArchiveGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	const struct exported *exported;
	struct archive_request sale;
	struct complaint complaint = sale_fill(request->sku, request->with_skus, request->n_with_skus, &sale);
	struct archiving *self;

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	exported = exports_find(&inventory->exports, &sale, request->digest);
	if (!exported) {
		rpc_fail_reason(call, COMMON__REASON__REASON_VERSION_MISMATCH,
			"no export of these goods since the start has this digest: export them again");
		return;
	}
	if (exported->begun) { /* asked again, as who lost the answer does */
		tell_begun(exported->count, answer, call);
		return;
	}
	self = ARENA_NEW(rpc_arena(call), struct archiving);
	if (!self) {
		inventory_fail_large(call);
		return;
	}
	self->change = (struct change){
		.apply = apply_archiving, .settle = settle_archiving, .call = call, .loop = inventory->loop};
	self->answer = answer;
	self->inventory = inventory;
	self->exported = *exported;
	change_submit(&self->change, inventory->writer);
}
