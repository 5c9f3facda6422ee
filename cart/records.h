/* cart/records.h - how the cart's store writes a hold and a position, explicit and big-endian.
 *
 * A hold's key is its id (time-ordered, so new ones are appended). Absent parts take no room. Version: the store's format, CART_STORE_FORMAT.
 * Pure: any thread. */
#ifndef FLASHSALE_CART_RECORDS_H
#define FLASHSALE_CART_RECORDS_H

#include "cart/lines.h"

#define CART_STORE_FORMAT 3
#define RECORD_HOLD_BYTES_MAX 352

/* What the follower of one inventory shard has applied. */
struct position {
	struct id lineage;
	uint64_t sequence;
	uint64_t epoch;	  /* the greatest one heard of */
	int64_t moved_ms; /* by how much the deadlines of live holds moved in all */
	uint64_t floor;	  /* as far as the ledger was sparse when it was read */
};
#define RECORD_POSITION_BYTES 48

/* Returns the size; `to` has room for RECORD_HOLD_BYTES_MAX. The deadline is the line's own, without the shard's `moved` while HELD. */
size_t record_hold_pack(const struct line *line, uint8_t *to);
/* The spans point into the record. The deadline gets moved_ms(shard) added by the caller. False: not a record of this format. */
bool record_hold_unpack(const struct id *id, const uint8_t *from, size_t size, struct hold *ret);

void record_position_pack(const struct position *position, uint8_t to[RECORD_POSITION_BYTES]);
bool record_position_unpack(const uint8_t *from, size_t size, struct position *ret);

#endif
