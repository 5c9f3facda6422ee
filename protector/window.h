/* protector/window.h - how many there were in the last seconds.
 *
 * A ring of eight sub-windows: time is cut into steps of an eighth of the window, and the count is what fell into the present step and the seven before it. So it covers between
 * seven eighths of the window and all of it, never more: it may be short by what came in the oldest eighth, and never counts what is outside. (The two-bucket form
 * that weighs the older bucket by its overlap takes less room and can count too much: Cloudflare, "How we built rate limiting capable of scaling to millions of
 * domains", 2017; the ring: as Hystrix's rolling counters.) A sub-window counts to 65,535 and stays there.
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_WINDOW_H
#define FLASHSALE_PROTECTOR_WINDOW_H

#include <stdint.h>
#include <string.h>

#define WINDOW_SLOTS 8
#define WINDOW_SLOT_MAX UINT16_MAX

struct window {
	uint32_t step; /* of the newest slot */
	uint32_t sum;
	uint16_t slots[WINDOW_SLOTS];
};

/* Steps never go back for a window. */
static inline void window_turn(struct window *window, uint32_t step)
{
	if (window->step == step)
		return;
	if (step - window->step >= WINDOW_SLOTS) {
		memset(window->slots, 0, sizeof(window->slots));
		window->sum = 0;
		window->step = step;
		return;
	}
	while (window->step != step) {
		uint16_t *oldest = &window->slots[++window->step % WINDOW_SLOTS];

		window->sum -= *oldest;
		*oldest = 0;
	}
}

static inline uint32_t window_add(struct window *window, uint32_t step)
{
	window_turn(window, step);
	if (window->slots[step % WINDOW_SLOTS] < WINDOW_SLOT_MAX) {
		window->slots[step % WINDOW_SLOTS]++;
		window->sum++;
	}
	return window->sum;
}

/* Without counting. */
static inline uint32_t window_count(const struct window *window, uint32_t step)
{
	struct window turned = *window;

	window_turn(&turned, step);
	return turned.sum;
}

#endif
