#include "gatekeeper/edge/extensions.h"

/* Reads a varint at *position; false at the end of the bytes. */
static bool read_varint(const uint8_t *bytes, size_t size, size_t *position, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && *position < size; shift += 7) {
		uint8_t byte = bytes[(*position)++];

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

uint64_t extension_number(const ProtobufCMessage *options, uint32_t tag)
{
	uint64_t value = 0;

	for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->unknown_fields[i];
		size_t position = 0;

		if (unknown->tag == tag && unknown->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
			read_varint(unknown->data, unknown->len, &position, &value);
	}
	return value;
}

bool extension_has_number(const ProtobufCMessage *options, uint32_t tag, uint64_t value)
{
	for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->unknown_fields[i];
		uint64_t number;
		size_t position = 0;

		if (unknown->tag != tag)
			continue;
		/* A packed list begins with its length. */
		if (unknown->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
			!read_varint(unknown->data, unknown->len, &position, &number))
			continue;
		while (read_varint(unknown->data, unknown->len, &position, &number))
			if (number == value)
				return true;
	}
	return false;
}

const uint8_t *extension_bytes(const ProtobufCMessage *options, uint32_t tag, size_t *ret_size)
{
	const uint8_t *found = NULL;

	for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->unknown_fields[i];
		uint64_t size;
		size_t position = 0;

		if (unknown->tag != tag || unknown->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			continue;
		/* protobuf-c keeps the length before the bytes. */
		if (read_varint(unknown->data, unknown->len, &position, &size) &&
			size == unknown->len - position) {
			found = unknown->data + position;
			*ret_size = (size_t)size;
		}
	}
	return found;
}
