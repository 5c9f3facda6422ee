/* cart/slab.c - see slab.h. */
#include "cart/slab.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK_BYTES_FIRST \
	((size_t)64 << 10) /* each block is twice as large as the one before, up to the last size */
#define BLOCK_BYTES_LAST MEMORY_LARGE_BYTES

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_USES_MALLOC 1
#else
#define SLAB_USES_MALLOC 0
#endif

struct slab_block {
	struct slab_block *next;
	size_t size;
	alignas(16) char pieces[];
};

void slab_init(struct slab *slab, size_t piece_bytes)
{
	piece_bytes = (piece_bytes + 15) & ~(size_t)15;
	assert(piece_bytes && piece_bytes <= BLOCK_BYTES_FIRST - sizeof(struct slab_block));
	*slab = (struct slab){.piece_bytes = piece_bytes};
}

void slab_release(struct slab *slab)
{
	assert(slab->in_use == 0);
	while (slab->blocks) {
		struct slab_block *block = slab->blocks;

		slab->blocks = block->next;
		memory_free_large(block, block->size);
	}
	*slab = (struct slab){0};
}

static void slab_add_block(struct slab *slab)
{
	size_t size = slab->blocks ? slab->blocks->size * 2 : BLOCK_BYTES_FIRST;
	struct slab_block *block;

	if (size > BLOCK_BYTES_LAST)
		size = BLOCK_BYTES_LAST;
	block = memory_new_large(size);
	block->next = slab->blocks;
	block->size = size;
	slab->blocks = block;
	slab->next = block->pieces;
	slab->end = (char *)block + size;
}

void *slab_get(struct slab *slab)
{
	void *piece = slab->free_pieces;

	slab->in_use++;
	if (SLAB_USES_MALLOC)
		return memory_new(slab->piece_bytes);
	if (piece) {
		memcpy(&slab->free_pieces, piece, sizeof(slab->free_pieces));
		return memset(piece, 0, slab->piece_bytes);
	}
	if (!slab->next || (size_t)(slab->end - slab->next) < slab->piece_bytes)
		slab_add_block(slab);
	piece = slab->next;
	slab->next += slab->piece_bytes;
	return piece;
}

void slab_put(struct slab *slab, void *piece)
{
	assert(slab->in_use);
	slab->in_use--;
	if (SLAB_USES_MALLOC) {
		free(piece);
		return;
	}
	memcpy(piece, &slab->free_pieces, sizeof(slab->free_pieces));
	slab->free_pieces = piece;
}

void slab_set_init(struct slab_set *set)
{
	for (size_t i = 0; i < SLAB_SET_BYTES_MAX / SLAB_SET_STEP; i++)
		slab_init(&set->slabs[i], (i + 1) * SLAB_SET_STEP);
}

void slab_set_release(struct slab_set *set)
{
	for (size_t i = 0; i < SLAB_SET_BYTES_MAX / SLAB_SET_STEP; i++)
		slab_release(&set->slabs[i]);
}

static struct slab *slab_set_pick(struct slab_set *set, size_t bytes)
{
	assert(bytes && bytes <= SLAB_SET_BYTES_MAX);
	return &set->slabs[(bytes - 1) / SLAB_SET_STEP];
}

void *slab_set_get(struct slab_set *set, size_t bytes)
{
	return slab_get(slab_set_pick(set, bytes));
}

void slab_set_put(struct slab_set *set, void *piece, size_t bytes)
{
	slab_put(slab_set_pick(set, bytes), piece);
}
