/* discovery/static.h - a list in a file, read again when it changes (inotify on its folder, so a rename over it counts).
 *
 * A line an instance: `service address [shard=N/COUNT] [admin=ADDRESS] [version=TEXT] [id=TEXT]`; `#` begins a comment. A file that does
 * not parse is refused whole with its line number: at start that is an error, later it is logged and the last good list stays.
 * The host of an address may be a name: it stands for one instance at each of its addresses and is asked for again every STATIC_RESOLVE_MS, so that a headless
 * service's name is a list that keeps itself (discovery/resolver.h: what was once known of a name stays; discovery/static_expand.h: ids). */
#ifndef FLASHSALE_DISCOVERY_STATIC_H
#define FLASHSALE_DISCOVERY_STATIC_H

#include "discovery/discovery.h"

#define STATIC_RESOLVE_MS 5000

struct discovery *discovery_static_new(const char *path, struct error *error);

/* The lines themselves, which never change; names in them are resolved as in a file. `name` stands for them in errors and logs. */
struct discovery *discovery_static_new_fixed(const char *lines, const char *name, struct error *error);

/* As discovery_static_new, with name servers ("127.0.0.1:5300", NULL: the system's) and a time between rounds of one's own, for tests. */
struct discovery *discovery_static_new_with(const char *path, const char *servers, int64_t resolve_ms, struct error *error);

#endif
