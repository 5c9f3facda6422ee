/* rpc/wire.h - reading protobuf's wire format field by field, without copying. Pure: any thread. */
#ifndef FLASHSALE_RPC_WIRE_H
#define FLASHSALE_RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct wire {
	const uint8_t *next, *end;
};

struct wire_field {
	uint32_t id;
	enum wire_type type;
	uint64_t number;      /* of WIRE_VARINT, WIRE_64 and WIRE_32 */
	const uint8_t *bytes; /* of WIRE_BYTES */
	size_t size;
};

enum wire_result { WIRE_FIELD, WIRE_END, WIRE_BROKEN };

/* Of more than one byte. */
static inline bool wire_long_varint(struct wire *wire, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (wire->next == wire->end)
			return false;
		byte = *wire->next++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static inline bool wire_varint(struct wire *wire, uint64_t *ret)
{
	if (wire->next == wire->end || (*wire->next & 0x80))
		return wire_long_varint(wire, ret);
	*ret = *wire->next++;
	return true;
}

static inline bool wire_fixed(struct wire *wire, size_t size, uint64_t *ret)
{
	if ((size_t)(wire->end - wire->next) < size)
		return false;
	*ret = 0;
	for (size_t i = 0; i < size; i++)
		*ret |= (uint64_t)wire->next[i] << (8 * i);
	wire->next += size;
	return true;
}

static inline bool wire_bytes(struct wire *wire, struct wire_field *field)
{
	uint64_t size;

	if (!wire_varint(wire, &size) || size > (uint64_t)(wire->end - wire->next))
		return false;
	field->bytes = wire->next;
	field->size = (size_t)size;
	wire->next += size;
	return true;
}

/* Groups (types 3 and 4) count as broken: proto3 has none. */
static inline enum wire_result wire_next(struct wire *wire, struct wire_field *field)
{
	uint64_t tag;
	bool fine;

	if (wire->next == wire->end)
		return WIRE_END;
	if (!wire_varint(wire, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return WIRE_BROKEN;
	field->id = (uint32_t)(tag >> 3);
	field->type = (enum wire_type)(tag & 7);
	switch (field->type) {
	case WIRE_VARINT:
		fine = wire_varint(wire, &field->number);
		break;
	case WIRE_64:
		fine = wire_fixed(wire, 8, &field->number);
		break;
	case WIRE_BYTES:
		fine = wire_bytes(wire, field);
		break;
	case WIRE_32:
		fine = wire_fixed(wire, 4, &field->number);
		break;
	default:
		fine = false;
	}
	return fine ? WIRE_FIELD : WIRE_BROKEN;
}

#endif
