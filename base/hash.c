/* base/hash.c - XXH3 with seed 0; see hash.h. */
#include "base/hash.h"

#include <assert.h>
#include <string.h>

/* Compiled in here: a call into the shared library costs more than hashing a short key. */
#define XXH_INLINE_ALL
#include <xxhash.h>

static struct hash128 hash_canonical(XXH128_hash_t hash)
{
	XXH128_canonical_t canonical;
	struct hash128 ret;

	XXH128_canonicalFromHash(&canonical, hash);
	static_assert(sizeof(ret.bytes) == sizeof(canonical.digest), "16 bytes");
	memcpy(ret.bytes, canonical.digest, sizeof(ret.bytes));
	return ret;
}

uint64_t hash64(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

struct hash128 hash128(const void *data, size_t size)
{
	return hash_canonical(XXH3_128bits(data, size));
}

uint32_t hash_shard(const char *key, uint32_t shards)
{
	assert(shards > 0);
	return (uint32_t)(hash64(key, strlen(key)) % shards);
}

/* Each length goes in front of its part as eight bytes, lowest first, whatever the machine. */
struct hash128 hash128_parts(const struct hash_part *parts, int count)
{
	XXH3_state_t state;

	XXH3_128bits_reset(&state);
	for (int i = 0; i < count; i++) {
		uint8_t length[8];

		for (int j = 0; j < 8; j++)
			length[j] = (uint8_t)((uint64_t)parts[i].size >> (8 * j));
		XXH3_128bits_update(&state, length, sizeof(length));
		if (parts[i].size)
			XXH3_128bits_update(&state, parts[i].data, parts[i].size);
	}
	return hash_canonical(XXH3_128bits_digest(&state));
}
