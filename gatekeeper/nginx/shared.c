#include "gatekeeper/nginx/door.h"

#include <signal.h>
#include <stddef.h>

/* A worker of before a reload and one of after it may live at once, and several of each. */
#define WORKERS_MAX 64
#define OVERHEAD_BYTES \
	(128 * 1024) /* of nginx's pages: 24 bytes for each of 4 KB, and the least that its allocator wants */

struct door_shared {
	struct throttle throttle;
	_Atomic int32_t workers[WORKERS_MAX]; /* process ids; 0: free */
	_Alignas(max_align_t) unsigned char edge[];
};

/* A reload finds what was there: tokens that were taken stay taken, used solutions used. */
static ngx_int_t init_zone(ngx_shm_zone_t *zone, void *before)
{
	ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
	struct door_shared *shared = before;

	if (zone->shm.exists) /* only where workers attach to it by name */
		shared = pool->data;
	if (!shared) {
		shared = ngx_slab_calloc(pool, sizeof(*shared) + edge_shared_size());
		if (!shared)
			return NGX_ERROR;
		edge_shared_init(shared->edge);
		pool->data = shared;
	}
	zone->data = shared;
	return NGX_OK;
}

ngx_shm_zone_t *shared_zone(ngx_conf_t *cf)
{
	ngx_str_t name = ngx_string("flashsale");
	ngx_shm_zone_t *zone = ngx_shared_memory_add(cf, &name,
		sizeof(struct door_shared) + edge_shared_size() + OVERHEAD_BYTES, &ngx_http_flashsale_module);

	if (zone)
		zone->init = init_zone;
	return zone;
}

void *shared_edge(struct door_shared *shared)
{
	return shared->edge;
}

struct throttle *shared_throttle(struct door_shared *shared)
{
	return &shared->throttle;
}

/* Who was killed has left its number behind. */
static bool is_gone(int32_t worker)
{
	return worker == 0 || (kill(worker, 0) != 0 && ngx_errno == ESRCH);
}

void shared_join(struct door_shared *shared)
{
	for (int i = 0; i < WORKERS_MAX; i++) {
		int32_t worker = atomic_load(&shared->workers[i]);

		if (is_gone(worker) &&
			atomic_compare_exchange_strong(&shared->workers[i], &worker, (int32_t)ngx_pid))
			return;
	}
}

/* Of several that leave at once the last finds nobody. */
bool shared_leave(struct door_shared *shared)
{
	bool last = true;

	for (int i = 0; i < WORKERS_MAX; i++) {
		int32_t own = (int32_t)ngx_pid;

		atomic_compare_exchange_strong(&shared->workers[i], &own, 0);
	}
	for (int i = 0; i < WORKERS_MAX; i++)
		last &= is_gone(atomic_load(&shared->workers[i]));
	return last;
}
