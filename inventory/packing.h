/* inventory/packing.h - how records are written and read, piece by piece; between the files of inventory/records.h only. Pure: any thread. */
#ifndef FLASHSALE_INVENTORY_PACKING_H
#define FLASHSALE_INVENTORY_PACKING_H

#include <string.h>

#include "inventory/records.h"

/* Writing: the caller's buffer is known to be large enough; asserted at the end. */
struct packer {
	uint8_t *at;
};

static inline void pack_u8(struct packer *p, uint8_t value)
{
	*p->at++ = value;
}

static inline void pack_u32(struct packer *p, uint32_t value)
{
	for (int i = 0; i < 4; i++, value >>= 8)
		*p->at++ = (uint8_t)value;
}

static inline void pack_u64(struct packer *p, uint64_t value)
{
	for (int i = 0; i < 8; i++, value >>= 8)
		*p->at++ = (uint8_t)value;
}

static inline void pack_i64(struct packer *p, int64_t value)
{
	pack_u64(p, (uint64_t)value);
}

static inline void pack_raw(struct packer *p, const void *data, size_t size)
{
	memcpy(p->at, data, size);
	p->at += size;
}

static inline void pack_bytes(struct packer *p, struct bytes bytes)
{
	pack_u8(p, bytes.size);
	if (bytes.size)
		pack_raw(p, bytes.data, bytes.size);
}

/* Reading: past the end everything is zero and `bad` is set; one look at the end is enough. */
struct unpacker {
	const uint8_t *at, *end;
	bool bad;
};

static inline const uint8_t *unpack_raw(struct unpacker *u, size_t size)
{
	const uint8_t *at = u->at;

	if (u->bad || (size_t)(u->end - u->at) < size) {
		u->bad = true;
		return NULL;
	}
	u->at += size;
	return at;
}

static inline uint8_t unpack_u8(struct unpacker *u)
{
	const uint8_t *at = unpack_raw(u, 1);

	return at ? *at : 0;
}

static inline uint32_t unpack_u32(struct unpacker *u)
{
	const uint8_t *at = unpack_raw(u, 4);

	return at ? (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24
		  : 0;
}

static inline uint64_t unpack_u64(struct unpacker *u)
{
	uint64_t low = unpack_u32(u);

	return low | (uint64_t)unpack_u32(u) << 32;
}

static inline int64_t unpack_i64(struct unpacker *u)
{
	return (int64_t)unpack_u64(u);
}

static inline void unpack_copy(struct unpacker *u, void *ret, size_t size)
{
	const uint8_t *at = unpack_raw(u, size);

	if (at)
		memcpy(ret, at, size);
	else
		memset(ret, 0, size);
}

static inline struct bytes unpack_bytes(struct unpacker *u, uint8_t max)
{
	struct bytes bytes = {.size = unpack_u8(u)};

	if (bytes.size > max)
		u->bad = true;
	bytes.data = unpack_raw(u, bytes.size);
	if (!bytes.data)
		bytes.size = 0;
	return bytes;
}

/* All was there, and nothing was left over. */
static inline bool unpack_end(const struct unpacker *u)
{
	return !u->bad && u->at == u->end;
}

static inline bool state_known(uint8_t state)
{
	return state >= HOLD_HELD && state <= HOLD_REFUNDED;
}

static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes){text, (uint8_t)strlen(text)};
}

/* records_orders.c: the body of an order's ledger entry. */
void order_changed_pack(struct packer *p, const struct ledger_entry *entry);
void order_changed_unpack(struct unpacker *u, struct ledger_entry *ret);

#endif
