/* discovery/static_expand.h - from the lines of a static list to instances: a line with a name becomes one instance for each of its addresses.
 *
 * Such an instance's id is SERVICE-ADDRESS:PORT. Where the line has an id it is that one, also when the address is another one day, or of several addresses ID@ADDRESS:PORT.
 * An admin address of the same name gets the same address. A name of which nothing is known is no instance yet. Two with the same id are one. Threads: of whom the file and the resolver belong to. */
#ifndef FLASHSALE_DISCOVERY_STATIC_EXPAND_H
#define FLASHSALE_DISCOVERY_STATIC_EXPAND_H

#include "discovery/resolver.h"
#include "discovery/static_file.h"

/* Each name of the file once, in a malloc'd list of pointers; its texts are malloc'd too: static_names_free. False: more names than a resolver takes. */
bool static_names(const struct static_file *file, char ***ret_names, size_t *ret_count, struct error *error);
void static_names_free(char **names, size_t count);

struct instances *static_expand(const struct static_service *service, const struct resolver *resolver, int64_t wall_ms);

#endif
