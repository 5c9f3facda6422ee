/* cart/slab.c - see slab.h. */
#include "cart/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define BLOCK_BYTES (64 * 1024)
#define BLOCK_HEAD 16 /* the next block's address; keeps pieces aligned to 16 */

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_USES_MALLOC 1
#else
#define SLAB_USES_MALLOC 0
#endif

void slab_init(struct slab *slab, size_t piece_bytes)
{
	piece_bytes = (piece_bytes + 15) & ~(size_t)15;
	assert(piece_bytes && piece_bytes <= BLOCK_BYTES - BLOCK_HEAD);
	*slab = (struct slab){.piece_bytes = piece_bytes};
}

void slab_release(struct slab *slab)
{
	assert(slab->in_use == 0);
	while (slab->blocks) {
		void *block = slab->blocks;

		memcpy(&slab->blocks, block, sizeof(slab->blocks));
		free(block);
	}
	*slab = (struct slab){0};
}

static void slab_add_block(struct slab *slab)
{
	char *block = memory_new(BLOCK_BYTES);

	memcpy(block, &slab->blocks, sizeof(slab->blocks));
	slab->blocks = block;
	slab->next = block + BLOCK_HEAD;
	slab->end = block + BLOCK_BYTES;
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
