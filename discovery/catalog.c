#include "discovery/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

struct catalog_watch {
	struct discovery_watch base;
	struct catalog_watch *next;
	struct catalog_service *service;
	discovery_changed *changed;
	void *context;
};

struct catalog_service {
	struct catalog_service *next;
	struct catalog_watch *watches;
	struct instances *list; /* NULL: nothing known yet */
	bool brought;		/* by the source; else only watched */
	char name[];
};

void catalog_init(struct catalog *catalog)
{
	*catalog = (struct catalog){0};
	pthread_mutex_init(&catalog->lock, NULL);
}

void catalog_release(struct catalog *catalog)
{
	struct catalog_service *service, *next;

	for (service = catalog->services; service; service = next) {
		next = service->next;
		assert(!service->watches);
		instances_drop(service->list);
		free(service);
	}
	pthread_mutex_destroy(&catalog->lock);
}

static struct catalog_service *find_service(const struct catalog *catalog, const char *name)
{
	struct catalog_service *service = catalog->services;

	while (service && strcmp(service->name, name))
		service = service->next;
	return service;
}

static struct catalog_service *get_service(struct catalog *catalog, const char *name)
{
	struct catalog_service *service = find_service(catalog, name);
	size_t size = strlen(name) + 1;

	if (service || catalog->count == CATALOG_SERVICES_MAX)
		return service;
	service = memory_new(sizeof(*service) + size);
	memcpy(service->name, name, size);
	service->next = catalog->services;
	catalog->services = service;
	catalog->count++;
	return service;
}

static struct instances *empty_list(void)
{
	return instances_make(NULL, 0, clock_wall_ms(&clock_system), NULL);
}

static void put_locked(struct catalog *catalog, struct catalog_service *service, struct instances *list)
{
	if (service->list && instances_equal(service->list, list)) {
		instances_drop(list);
		return;
	}
	list->version = ++catalog->version;
	instances_drop(service->list);
	service->list = list;
	for (struct catalog_watch *watch = service->watches; watch; watch = watch->next)
		watch->changed(watch->context, list);
}

struct discovery_watch *catalog_watch(struct catalog *catalog, struct discovery *discovery, const char *name,
	discovery_changed *changed, void *context)
{
	struct catalog_watch *watch = NEW(struct catalog_watch);
	struct catalog_service *service;

	assert(service_name_check(name, NULL));
	pthread_mutex_lock(&catalog->lock);
	service = get_service(catalog, name);
	assert(service);
	if (!service->list && catalog->complete)
		put_locked(catalog, service, empty_list());
	watch->base.discovery = discovery;
	watch->service = service;
	watch->changed = changed;
	watch->context = context;
	watch->next = service->watches;
	service->watches = watch;
	if (service->list)
		changed(context, service->list);
	pthread_mutex_unlock(&catalog->lock);
	return &watch->base;
}

void catalog_unwatch(struct catalog *catalog, struct discovery_watch *base)
{
	struct catalog_watch *watch = container_of(base, struct catalog_watch, base), **at;

	pthread_mutex_lock(&catalog->lock);
	at = &watch->service->watches;
	while (*at && *at != watch)
		at = &(*at)->next;
	assert(*at);
	*at = watch->next;
	pthread_mutex_unlock(&catalog->lock);
	free(watch);
}

/* Whether the source may bring this many services more. */
static bool has_room(const struct catalog *catalog, const struct catalog_entry *entries, size_t count)
{
	size_t brought = 0;

	for (const struct catalog_service *service = catalog->services; service; service = service->next)
		brought += service->brought;
	for (size_t i = 0; i < count; i++) {
		const struct catalog_service *service = find_service(catalog, entries[i].service);

		brought += !service || !service->brought;
	}
	return brought <= CATALOG_SERVICES_PUT_MAX;
}

/* All or nothing; takes the references either way. */
static bool put_all_locked(struct catalog *catalog, const struct catalog_entry *entries, size_t count)
{
	bool ok = has_room(catalog, entries, count);

	for (size_t i = 0; i < count; i++) {
		struct catalog_service *service = ok ? get_service(catalog, entries[i].service) : NULL;

		if (service) {
			service->brought = true;
			put_locked(catalog, service, entries[i].list);
		} else {
			instances_drop(entries[i].list);
		}
	}
	return ok;
}

bool catalog_put(struct catalog *catalog, const char *name, struct instances *list)
{
	struct catalog_entry entry = {name, list};
	bool ok;

	pthread_mutex_lock(&catalog->lock);
	ok = put_all_locked(catalog, &entry, 1);
	pthread_mutex_unlock(&catalog->lock);
	return ok;
}

static bool is_named(const struct catalog_entry *entries, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(entries[i].service, name))
			return true;
	return false;
}

/* What is not named has no instances any more; it is forgotten where nobody watches it. */
static void empty_others(struct catalog *catalog, const struct catalog_entry *entries, size_t count)
{
	struct catalog_service **at = &catalog->services, *service;

	while ((service = *at)) {
		if (is_named(entries, count, service->name)) {
			at = &service->next;
			continue;
		}
		service->brought = false;
		put_locked(catalog, service, empty_list());
		if (service->watches) {
			at = &service->next;
			continue;
		}
		*at = service->next;
		catalog->count--;
		instances_drop(service->list);
		free(service);
	}
}

bool catalog_replace(struct catalog *catalog, const struct catalog_entry *entries, size_t count)
{
	bool ok = count <= CATALOG_SERVICES_PUT_MAX;

	pthread_mutex_lock(&catalog->lock);
	if (ok)
		empty_others(catalog, entries, count);
	ok = put_all_locked(catalog, entries, count);
	catalog->complete = catalog->complete || ok;
	pthread_mutex_unlock(&catalog->lock);
	return ok;
}
