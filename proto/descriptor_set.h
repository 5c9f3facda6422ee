/* proto/descriptor_set.h - the compiled contracts, a google.protobuf.FileDescriptorSet with imports and comments, part of the program. */
#ifndef FLASHSALE_PROTO_DESCRIPTOR_SET_H
#define FLASHSALE_PROTO_DESCRIPTOR_SET_H

#include <stddef.h>

extern const unsigned char flashsale_descriptor_set[];
extern const unsigned char flashsale_descriptor_set_end[];

static inline size_t flashsale_descriptor_set_size(void)
{
	return (size_t)(flashsale_descriptor_set_end - flashsale_descriptor_set);
}

#endif
