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

#endif
