/* base/hash.h - xxhash's XXH3 with fixed seeds, so that every process computes the same: placement, key hashes, fingerprints.
 * These are written in stores and on the wire: they never change within a format version. Any thread. */
#ifndef FLASHSALE_BASE_HASH_H
#define FLASHSALE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash128 {
	uint8_t bytes[16]; /* canonical big-endian form */
};

uint64_t hash64(const void *data, size_t size);
struct hash128 hash128(const void *data, size_t size);

/* The shard of a key (a SKU or a user) among `shards` (at least 1): hash64 mod shards. */
uint32_t hash_shard(const char *key, uint32_t shards);

/* Several parts hashed as one, each with its length, so that ("ab","c") and ("a","bc") differ. */
struct hash_part {
	const void *data;
	size_t size;
};
struct hash128 hash128_parts(const struct hash_part *parts, int count);

/* hash128 of what comes in pieces. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *stream, const void *data, size_t size);
struct hash128 hash_stream_get(const struct hash_stream *stream); /* so far */
void hash_stream_free(struct hash_stream *stream); /* NULL is fine */

#endif
