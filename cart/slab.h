/* cart/slab.h - many pieces of one size, from large blocks, through a free list: no malloc for each line of a sale.
 *
 * What is put back is handed out again; blocks go back to the system only by slab_release. Under AddressSanitizer each piece is malloc's, so that
 * its use after the end is seen. Threads: belongs to one. */
#ifndef FLASHSALE_CART_SLAB_H
#define FLASHSALE_CART_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
	size_t piece_bytes;
	void *free_pieces, *blocks;
	char *next, *end; /* untouched part of the newest block */
	size_t in_use;
};

void slab_init(struct slab *slab, size_t piece_bytes);
void slab_release(struct slab *slab); /* every piece must be back */
void *slab_get(struct slab *slab);    /* zeroed */
void slab_put(struct slab *slab, void *piece);

/* Pieces of up to SLAB_SET_BYTES_MAX bytes of differing sizes: texts, and structs that end in one. */
#define SLAB_SET_BYTES_MAX 160
#define SLAB_SET_STEP 16
struct slab_set {
	struct slab slabs[SLAB_SET_BYTES_MAX / SLAB_SET_STEP];
};

void slab_set_init(struct slab_set *set);
void slab_set_release(struct slab_set *set);
void *slab_set_get(struct slab_set *set, size_t bytes);
void slab_set_put(struct slab_set *set, void *piece, size_t bytes);

#endif
