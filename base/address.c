#include "base/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define V4_BITS 32
#define V4_OFFSET 12 /* of an IPv4 address in its mapped form */
#define V4_LEAD (ADDRESS_BITS - V4_BITS)

enum { PACKED_V4, PACKED_V6 };

static const uint8_t v4_prefix[V4_OFFSET] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_v4(const struct address *address)
{
	return address->bits >= V4_LEAD && memcmp(address->bytes, v4_prefix, V4_OFFSET) == 0;
}

/* *ret_bits: how many the family counts. */
static bool parse_bytes(const char *text, size_t length, struct address *ret, unsigned *ret_bits)
{
	char copy[INET6_ADDRSTRLEN];

	if (length >= sizeof(copy) || memchr(text, 0, length))
		return false;
	memcpy(copy, text, length);
	copy[length] = 0;
	ret->bits = ADDRESS_BITS;
	*ret_bits = ADDRESS_BITS;
	if (inet_pton(AF_INET6, copy, ret->bytes) == 1)
		return true;
	memcpy(ret->bytes, v4_prefix, V4_OFFSET);
	*ret_bits = V4_BITS;
	return inet_pton(AF_INET, copy, ret->bytes + V4_OFFSET) == 1;
}

static bool parse_bits(const char *text, size_t length, unsigned *ret)
{
	unsigned value = 0;

	if (length < 1 || length > 3 || (length > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = value;
	return true;
}

bool address_parse(const char *text, size_t length, struct address *ret)
{
	struct address address;
	unsigned family_bits;

	if (!parse_bytes(text, length, &address, &family_bits))
		return false;
	*ret = address;
	return true;
}

bool address_parse_range(const char *text, size_t length, struct address *ret)
{
	const char *slash = memchr(text, '/', length);
	const size_t head = slash ? (size_t)(slash - text) : length;
	struct address address;
	unsigned family_bits, bits;

	if (!parse_bytes(text, head, &address, &family_bits))
		return false;
	bits = family_bits;
	if (slash && (!parse_bits(slash + 1, length - head - 1, &bits) || bits > family_bits))
		return false;
	bits += ADDRESS_BITS - family_bits;
	if (bits < V4_LEAD && address_is_v4(&address))
		return false;
	*ret = address_prefix(&address, bits);
	return true;
}

char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
	const bool v4 = address_is_v4(address);
	const unsigned bits = v4 ? address->bits - V4_LEAD : address->bits;
	const char *done = v4 ? inet_ntop(AF_INET, address->bytes + V4_OFFSET, text, ADDRESS_TEXT_MAX)
			      : inet_ntop(AF_INET6, address->bytes, text, ADDRESS_TEXT_MAX);

	assert(done);
	if (address->bits < ADDRESS_BITS) {
		const size_t length = strlen(text);

		snprintf(text + length, ADDRESS_TEXT_MAX - length, "/%u", bits);
	}
	return text;
}

struct address address_prefix(const struct address *address, unsigned bits)
{
	struct address prefix = {.bits = (uint8_t)bits};

	assert(bits <= address->bits);
	memcpy(prefix.bytes, address->bytes, bits / 8);
	if (bits % 8)
		prefix.bytes[bits / 8] = address->bytes[bits / 8] & (uint8_t)(0xff << (8 - bits % 8));
	return prefix;
}

bool address_covers(const struct address *range, const struct address *address)
{
	struct address prefix;

	if (range->bits > address->bits || address_is_v4(range) != address_is_v4(address))
		return false;
	prefix = address_prefix(address, range->bits);
	return memcmp(prefix.bytes, range->bytes, sizeof(prefix.bytes)) == 0;
}

int address_compare(const struct address *a, const struct address *b)
{
	int order = address_is_v4(b) - address_is_v4(a);

	if (!order)
		order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
	return order ? order : a->bits - b->bits;
}

void address_pack(const struct address *address, uint8_t to[ADDRESS_PACKED_BYTES])
{
	const bool v4 = address_is_v4(address);
	const unsigned offset = v4 ? V4_OFFSET : 0;

	memset(to, 0, ADDRESS_PACKED_BYTES);
	to[0] = v4 ? PACKED_V4 : PACKED_V6;
	memcpy(to + 1, address->bytes + offset, sizeof(address->bytes) - offset);
	to[ADDRESS_PACKED_BYTES - 1] = (uint8_t)(address->bits - offset * 8);
}

bool address_unpack(const uint8_t from[ADDRESS_PACKED_BYTES], struct address *ret)
{
	const unsigned offset = from[0] == PACKED_V4 ? V4_OFFSET : 0;
	const unsigned bits = offset * 8 + from[ADDRESS_PACKED_BYTES - 1];
	struct address address = {.bits = ADDRESS_BITS};
	uint8_t again[ADDRESS_PACKED_BYTES];

	if (bits > ADDRESS_BITS)
		return false;
	memcpy(address.bytes, v4_prefix, offset);
	memcpy(address.bytes + offset, from + 1, sizeof(address.bytes) - offset);
	address = address_prefix(&address, bits);
	address_pack(&address, again);
	if (memcmp(again, from, sizeof(again)) != 0)
		return false;
	*ret = address;
	return true;
}
