/* gatekeeper/edge/json_yajl.h - yajl's SAX parser with what it lacks for strangers' texts: memory that is there, and a look at surrogates.
 * Strings go to the callbacks unchecked: they look at UTF-8 themselves, for they know the name of the field. Pure: any thread. */
#ifndef FLASHSALE_EDGE_JSON_YAJL_H
#define FLASHSALE_EDGE_JSON_YAJL_H

#include <stddef.h>
#include <yajl/yajl_parse.h>

enum json_parse_result {
	JSON_PARSED,
	JSON_STOPPED,	/* by a callback */
	JSON_SURROGATE, /* an escape is half of a surrogate pair; no callback was called */
	JSON_BROKEN,	/* not JSON at *ret_at */
	JSON_TRUNCATED, /* the text ends too early */
};

enum json_parse_result json_parse(
	const yajl_callbacks *callbacks, void *context, const char *data, size_t length, size_t *ret_at);

#endif
