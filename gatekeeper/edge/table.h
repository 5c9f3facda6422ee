/* gatekeeper/edge/table.h - uthash with our hash and our memory: for the snapshots' tables. Include it instead of uthash.h. */
#ifndef FLASHSALE_EDGE_TABLE_H
#define FLASHSALE_EDGE_TABLE_H

#include "base/hash.h"
#include "base/memory.h"

#define HASH_FUNCTION(key, size, value) ((value) = (unsigned)hash64((key), (size)))
#define uthash_malloc(size) memory_new(size)

#include <uthash.h>

#endif
