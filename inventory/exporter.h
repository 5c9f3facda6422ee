/* inventory/exporter.h - a sale told to its end, page by page, and which exports were.
 *
 * Each page is a read transaction of its own; what has changed since the first one ends the export. The last page has the digest of all before it and
 * of itself: who gives it back (ArchiveGoods) has got them. Threads: any for an exporter; the exports are their owner's. */
#ifndef FLASHSALE_INVENTORY_EXPORTER_H
#define FLASHSALE_INVENTORY_EXPORTER_H

#include "base/arena.h"
#include "base/hash.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "inventory/archive.h"
#include "rpc/status.h"

#define EXPORTS_MAX 8
#define DIGEST_TEXT_LENGTH 32

struct exporter {
	struct store *store;
	int64_t standard_ttl_ms; /* of goods that do not say */
	struct archive_request sale;
	uint32_t numbers[ARCHIVE_GOODS_MAX];
	struct hash_stream *hash;
	Inventory__ExportGoodsResponse response; /* the page */
	char digest[DIGEST_TEXT_LENGTH + 1];	 /* once it has ended */
	uint64_t position, end, count;
	bool begun, ended;
};

/* sale: which goods, each once and sorted. */
void exporter_init(struct exporter *exporter, struct store *store, int64_t standard_ttl_ms,
	const struct archive_request *sale);
void exporter_release(struct exporter *exporter);
/* The next page is `response`, with parts in the arena; the last one sets `ended`. False: *status says why, and it is over. */
bool exporter_page(struct exporter *exporter, struct arena *arena, struct rpc_status *status);

/* The last exports that were told to their end. */
struct exports {
	struct exported {
		struct archive_request sale; /* count 0: none */
		char digest[DIGEST_TEXT_LENGTH + 1];
		uint64_t count;
		bool begun; /* its archive, which needs to be begun only once */
	} list[EXPORTS_MAX];
	uint32_t next;
};
void exports_add(struct exports *exports, const struct exporter *exporter);
/* NULL: none of these goods has this digest. */
struct exported *exports_find(
	struct exports *exports, const struct archive_request *sale, const char *digest);

#endif
