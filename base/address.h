/* base/address.h - IPv4 and IPv6 addresses and ranges, one form for both: 128 bits, IPv4 as ::ffff:a.b.c.d, so that a mapped address and the plain one
 * are the same client. A range is its first address and the number of leading bits that count (an IPv4 /24 has 120); a single address has 128.
 * Pure: any thread. */
#ifndef FLASHSALE_BASE_ADDRESS_H
#define FLASHSALE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_BITS 128
#define ADDRESS_TEXT_MAX 64 /* room for any text that address_format writes */

struct address {
	uint8_t bytes[16];
	uint8_t bits; /* 128: one address */
};

/* "192.0.2.1", "2001:db8::1": one address. No zone, no port, no spaces. `text` need not be terminated. */
bool address_parse(const char *text, size_t length, struct address *ret);
/* The same or a range, "192.0.2.0/24", "2001:db8::/32"; bits past the prefix are cleared. "1.2.3.4/32" is one address. */
bool address_parse_range(const char *text, size_t length, struct address *ret);

/* The canonical text: IPv4 dotted, IPv6 by RFC 5952, "/bits" only for ranges; address_parse_range reads it back as the same. */
char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* The range of that many leading bits around an address: longest-prefix look-ups walk down with it. bits is at most address->bits. */
struct address address_prefix(const struct address *address, unsigned bits);

bool address_covers(const struct address *range, const struct address *address);

#endif
