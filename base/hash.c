/* base/hash.c - XXH3 with seed 0; see hash.h. */
#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Compiled in here: a call into the shared library costs more than hashing a short key. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_PIECE_BYTES 256

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

static void hash_length_put(uint8_t length[8], uint64_t size)
{
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(size >> (8 * i));
}

/* The same of parts that fit in one piece: most do, and hashing step by step costs more than their copy. */
static struct hash128 hash128_piece(const struct hash_part *parts, int count)
{
	uint8_t piece[HASH_PIECE_BYTES], *to = piece;

	for (int i = 0; i < count; to += parts[i++].size) {
		hash_length_put(to, parts[i].size);
		to += 8;
		if (parts[i].size)
			memcpy(to, parts[i].data, parts[i].size);
	}
	return hash128(piece, (size_t)(to - piece));
}

/* Each length goes in front of its part as eight bytes, lowest first, whatever the machine. */
struct hash128 hash128_parts(const struct hash_part *parts, int count)
{
	XXH3_state_t state;
	size_t left = HASH_PIECE_BYTES;
	int fits = 0;

	for (; fits < count && left >= 8 && parts[fits].size <= left - 8; fits++)
		left -= 8 + parts[fits].size;
	if (fits == count)
		return hash128_piece(parts, count);
	XXH3_128bits_reset(&state);
	for (int i = 0; i < count; i++) {
		uint8_t length[8];

		hash_length_put(length, parts[i].size);
		XXH3_128bits_update(&state, length, sizeof(length));
		if (parts[i].size)
			XXH3_128bits_update(&state, parts[i].data, parts[i].size);
	}
	return hash_canonical(XXH3_128bits_digest(&state));
}

struct hash_stream {
	XXH3_state_t *state; /* aligned as it wants to be */
};

struct hash_stream *hash_stream_new(void)
{
	struct hash_stream *stream = NEW(struct hash_stream);

	stream->state = XXH3_createState();
	assert(stream->state);
	XXH3_128bits_reset(stream->state);
	return stream;
}

void hash_stream_add(struct hash_stream *stream, const void *data, size_t size)
{
	XXH3_128bits_update(stream->state, data, size);
}

struct hash128 hash_stream_get(const struct hash_stream *stream)
{
	return hash_canonical(XXH3_128bits_digest(stream->state));
}

void hash_stream_free(struct hash_stream *stream)
{
	if (!stream)
		return;
	XXH3_freeState(stream->state);
	free(stream);
}
