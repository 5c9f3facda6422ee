/* cart/packing.h - how records are written and read, piece by piece; between the files of records only. Pure: any thread. */
#ifndef FLASHSALE_CART_PACKING_H
#define FLASHSALE_CART_PACKING_H

#include <stdbool.h>
#include <string.h>

#include "base/store.h"
#include "cart/lines.h"

static inline uint8_t *put64(uint8_t *to, uint64_t value)
{
	store_put_be64(to, value);
	return to + 8;
}

static inline uint8_t *put32(uint8_t *to, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*to++ = (uint8_t)(value >> shift);
	return to;
}

static inline uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size)
{
	memcpy(to, bytes, size);
	return to + size;
}

static inline uint8_t *put_text(uint8_t *to, const char *text, uint8_t length)
{
	*to++ = length;
	return put_bytes(to, text, length);
}

/* Reads ahead of its own errors: after the first one everything is zero, and `broken` says so once. */
struct reader {
	const uint8_t *next, *end;
	bool broken;
};

static inline const uint8_t *take(struct reader *reader, size_t size)
{
	const uint8_t *at = reader->next;

	if (reader->broken || (size_t)(reader->end - at) < size) {
		reader->broken = true;
		return NULL;
	}
	reader->next += size;
	return at;
}

static inline uint8_t take8(struct reader *reader)
{
	const uint8_t *at = take(reader, 1);

	return at ? *at : 0;
}

static inline uint32_t take32(struct reader *reader)
{
	const uint8_t *at = take(reader, 4);

	return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3] : 0;
}

static inline uint64_t take64(struct reader *reader)
{
	const uint8_t *at = take(reader, 8);

	return at ? store_get_be64(at) : 0;
}

static inline void take_bytes(struct reader *reader, void *to, size_t size)
{
	const uint8_t *at = take(reader, size);

	if (at)
		memcpy(to, at, size);
}

static inline struct span take_text(struct reader *reader)
{
	size_t length = take8(reader);
	const uint8_t *at = take(reader, length);

	if (length > LINES_NAME_MAX || (at && memchr(at, '\0', length)))
		reader->broken = true;
	return (struct span){(const char *)at, at ? length : 0};
}

#endif
