/* tests/unit/protector/cmocka_first.h - cmocka.h wants these before it. */
#ifndef FLASHSALE_TESTS_CMOCKA_FIRST_H
#define FLASHSALE_TESTS_CMOCKA_FIRST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
