/* tests/unit/cart/check.h - what every test program here includes first. */
#ifndef FLASHSALE_TESTS_CART_CHECK_H
#define FLASHSALE_TESTS_CART_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RUN(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* A name of 32 bytes; all of them have one hash64: XXH3 multiplies the first eight bytes, here those that it masks them with, by the next eight. */
static inline const char *colliding_name(char to[33], char which)
{
	memset(to, which, 16);
	memset(to + 16, 'x', 16);
	memcpy(to, "\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe", 8);
	to[32] = '\0';
	return to;
}

#endif
