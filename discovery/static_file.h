/* discovery/static_file.h - the text of a static list, parsed and checked as a whole (discovery/static.h shows a line).
 *
 * Everything points into the file's own text. Bounds: 1 MiB, STATIC_SERVICES_MAX services, INSTANCES_MAX instances each and
 * STATIC_INSTANCES_MAX in all. A file belongs to one thread; release it when the read said yes. */
#ifndef FLASHSALE_DISCOVERY_STATIC_FILE_H
#define FLASHSALE_DISCOVERY_STATIC_FILE_H

#include "discovery/catalog.h"

#define STATIC_SERVICES_MAX CATALOG_SERVICES_PUT_MAX
#define STATIC_INSTANCES_MAX 4096
#define STATIC_FILE_BYTES_MAX (1 << 20)

struct static_service {
	const char *name;
	struct instance *items;
	size_t count;
	char **ids; /* made ones, malloc'd; NULL where the line gave one */
};
struct static_file {
	char *text;
	struct static_service services[STATIC_SERVICES_MAX];
	size_t service_count, instance_count;
};

bool static_file_read(struct static_file *file, const char *path, struct error *error);
bool static_file_parse(struct static_file *file, const char *text, size_t size, const char *name, struct error *error);
void static_file_release(struct static_file *file);

#endif
