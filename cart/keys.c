/* cart/keys.c - see keys.h. */
#include "cart/keys.h"

struct hash128 key_scope(const char *user, size_t user_length, const char *key, size_t key_length)
{
	const struct hash_part parts[] = {{user, user_length}, {key, key_length}};

	return hash128_parts(parts, 2);
}

struct hash128 key_fingerprint(
	enum key_operation operation, const char *sku, size_t sku_length, uint32_t quantity)
{
	const uint8_t number[5] = {(uint8_t)operation, (uint8_t)(quantity >> 24), (uint8_t)(quantity >> 16),
		(uint8_t)(quantity >> 8), (uint8_t)quantity};
	const struct hash_part parts[] = {{number, sizeof(number)}, {sku, sku_length}};

	return hash128_parts(parts, 2);
}
