/* gatekeeper/edge/openapi.h - an OpenAPI 3.1 document of all routes, from the same descriptors as the routes themselves: paths, parameters, schemas, and the
 * contracts' comments as descriptions. Made once at start; cold. Threads: pure. */
#ifndef FLASHSALE_EDGE_OPENAPI_H
#define FLASHSALE_EDGE_OPENAPI_H

#include "gatekeeper/edge/routes.h"

/* JSON text, free(). */
char *openapi_new(const struct shapes *shapes, const struct routes *routes, size_t *ret_length);

#endif
