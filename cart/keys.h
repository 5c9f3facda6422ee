/* cart/keys.h - idempotency keys: their scope, and what a request must repeat to be the same.
 *
 * Both hashes are written in inventory's ledger and in the cart's store: they never change within a format version. Pure: any thread. */
#ifndef FLASHSALE_CART_KEYS_H
#define FLASHSALE_CART_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"

enum key_operation { KEY_ADD = 1, KEY_UPDATE = 2 };

/* A key belongs to a person: the same text of two people is two keys. */
struct hash128 key_scope(const char *user, size_t user_length, const char *key, size_t key_length);

/* Of what was asked for; another one under the same key is refused. */
struct hash128 key_fingerprint(
	enum key_operation operation, const char *sku, size_t sku_length, uint32_t quantity);

static inline bool key_equal(const struct hash128 *a, const struct hash128 *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* For hash tables: the hash is as good as random everywhere. */
static inline uint64_t key_short(const struct hash128 *key)
{
	uint64_t value;

	memcpy(&value, key->bytes, sizeof(value));
	return value;
}

#endif
