/* base/clock.c - the system's clocks, and one that tests set; see clock.h. */
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "base/memory.h"

#define MS_A_DAY (24 * 60 * 60 * INT64_C(1000))
/* What RFC 3339 can write: the years 0000 to 9999. */
#define RFC3339_FIRST_MS INT64_C(-62167219200000)
#define RFC3339_LAST_MS INT64_C(253402300799999)

static struct timespec clock_now(clockid_t clock)
{
	struct timespec now;
	int failed = clock_gettime(clock, &now);

	assert(!failed);
	return now;
}

static int64_t clock_now_ms(clockid_t clock)
{
	struct timespec now = clock_now(clock);

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t clock_system_wall_ms(const struct clock_source *source)
{
	return clock_now_ms(CLOCK_REALTIME);
}

static int64_t clock_system_boot_ms(const struct clock_source *source)
{
	return clock_now_ms(CLOCK_BOOTTIME);
}

const struct clock_source clock_system = {clock_system_wall_ms, clock_system_boot_ms};

int64_t clock_mono_ns(void)
{
	struct timespec now = clock_now(CLOCK_MONOTONIC);

	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_wall_us(void)
{
	struct timespec now = clock_now(CLOCK_REALTIME);

	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t clock_manual_wall_ms(const struct clock_source *source)
{
	return atomic_load(&container_of(source, const struct clock_manual, base)->wall_ms);
}

static int64_t clock_manual_boot_ms(const struct clock_source *source)
{
	return atomic_load(&container_of(source, const struct clock_manual, base)->boot_ms);
}

void clock_manual_init(struct clock_manual *manual, int64_t wall_ms, int64_t boot_ms)
{
	manual->base = (struct clock_source){clock_manual_wall_ms, clock_manual_boot_ms};
	atomic_init(&manual->wall_ms, wall_ms);
	atomic_init(&manual->boot_ms, boot_ms);
}

void clock_manual_advance(struct clock_manual *manual, int64_t ms)
{
	assert(ms >= 0);
	atomic_fetch_add(&manual->wall_ms, ms);
	atomic_fetch_add(&manual->boot_ms, ms);
}

void clock_manual_jump_wall(struct clock_manual *manual, int64_t ms)
{
	atomic_fetch_add(&manual->wall_ms, ms);
}

/* Days since 1970 to a date of the Gregorian calendar. Years are counted from March, so the leap day is the last
 * of its year, and in eras of 400 years, which all have 146,097 days. gmtime_r would do, but takes a lock. */
static void clock_date(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t shifted = days + 719468; /* from 0000-03-01 */
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int day_of_era = (int)(shifted - era * 146097);
	int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month_from_march = (5 * day_of_year + 2) / 153;

	*ret_day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	*ret_month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	*ret_year = (int)(year_of_era + era * 400) + (*ret_month <= 2);
}

static char *clock_put_digits(char *to, unsigned value, int digits, char after)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		to[i] = (char)('0' + value % 10);
	to[digits] = after;
	return to + digits + 1;
}

char *clock_format_rfc3339(int64_t wall_ms, char buffer[CLOCK_TEXT_MAX])
{
	int year, month, day;
	int64_t days;
	unsigned ms;
	char *to = buffer;

	if (wall_ms < RFC3339_FIRST_MS)
		wall_ms = RFC3339_FIRST_MS;
	if (wall_ms > RFC3339_LAST_MS)
		wall_ms = RFC3339_LAST_MS;
	days = (wall_ms >= 0 ? wall_ms : wall_ms - (MS_A_DAY - 1)) / MS_A_DAY;
	ms = (unsigned)(wall_ms - days * MS_A_DAY);
	clock_date(days, &year, &month, &day);
	to = clock_put_digits(to, (unsigned)year, 4, '-');
	to = clock_put_digits(to, (unsigned)month, 2, '-');
	to = clock_put_digits(to, (unsigned)day, 2, 'T');
	to = clock_put_digits(to, ms / 3600000, 2, ':');
	to = clock_put_digits(to, ms / 60000 % 60, 2, ':');
	to = clock_put_digits(to, ms / 1000 % 60, 2, '.');
	to = clock_put_digits(to, ms % 1000, 3, 'Z');
	*to = '\0';
	return buffer;
}
