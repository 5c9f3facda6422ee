/* discovery/static.h - a list in a file, read again when it changes (inotify on its folder, so a rename over it counts).
 *
 * A line an instance: `service address [shard=N/COUNT] [admin=ADDRESS] [version=TEXT] [id=TEXT]`; `#` begins a comment. A file that does
 * not parse is refused whole with its line number: at start that is an error, later it is logged and the last good list stays. */
#ifndef FLASHSALE_DISCOVERY_STATIC_H
#define FLASHSALE_DISCOVERY_STATIC_H

#include "discovery/discovery.h"

struct discovery *discovery_static_new(const char *path, struct error *error);

#endif
