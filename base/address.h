/* base/address.h - IPv4 and IPv6 addresses and ranges, one form for both: 128 bits, IPv4 as ::ffff:a.b.c.d, so that a mapped address and the plain one
 * are the same client and nobody evades a ban by spelling. A range is its first address and the number of leading bits that count (an IPv4 /24 has
 * 120); a single address has 128; the bits past them are zero. A range is IPv4 when all of it lies in the mapped part; the families never match one
 * another: ::/0 covers no IPv4 address.
 * Pure: any thread. */
#ifndef FLASHSALE_BASE_ADDRESS_H
#define FLASHSALE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_BITS 128
#define ADDRESS_TEXT_MAX 64 /* room for any text that address_format writes */
#define ADDRESS_PACKED_BYTES 18

struct address {
	uint8_t bytes[16];
	uint8_t bits; /* 128: one address */
};

/* "192.0.2.1", "2001:db8::1": one address. No zone, no port, no spaces. `text` need not be terminated. */
bool address_parse(const char *text, size_t length, struct address *ret);
/* The same or a range, "192.0.2.0/24", "2001:db8::/32"; bits past the prefix are cleared. "1.2.3.4/32" is one address.
 * A mapped address has the 128 bits' prefix: "::ffff:10.0.0.0/104" is 10.0.0.0/8; below 96 it is not read, for "::ffff:10.0.0.0/8" is hardly meant to be all of ::/8. */
bool address_parse_range(const char *text, size_t length, struct address *ret);

/* The canonical text: IPv4 dotted, IPv6 by RFC 5952, "/bits" only for ranges; address_parse_range reads it back as the same. */
char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

bool address_is_v4(const struct address *address);

/* The range of that many leading bits around an address: longest-prefix look-ups walk down with it. bits is at most address->bits. Of an
 * IPv4 address with fewer than 96 it is an IPv6 range, which does not cover it. */
struct address address_prefix(const struct address *address, unsigned bits);

bool address_covers(const struct address *range, const struct address *address);

/* The order of lists: IPv4 first, then by address, a range before what is in it. So 0.0.0.0/0 comes before all others. */
#define ADDRESS_FIRST ((struct address){.bytes = {[10] = 0xff, [11] = 0xff}, .bits = 96})
int address_compare(const struct address *a, const struct address *b);

/* For stores and keys; compares as bytes in the same order. Family (0: IPv4, 1: IPv6), 16 bytes of address (IPv4: the first four, then zero), bits as
 * the family counts them. Unpacking returns false for bytes that packing could not have written. */
void address_pack(const struct address *address, uint8_t to[ADDRESS_PACKED_BYTES]);
bool address_unpack(const uint8_t from[ADDRESS_PACKED_BYTES], struct address *ret);

#endif
