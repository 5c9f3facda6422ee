/* base/config_values.c - the forms of settings' values: numbers, durations, sizes, switches. */
#include "base/config_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

struct config_unit {
	const char *name;
	int64_t factor;
};

/* The largest first: a number is shown in the first that divides it. */
static const struct config_unit config_durations[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct config_unit config_sizes[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};

#define CONFIG_UNITS 4

/* Digits only: no sign, no blanks, no overflow. Returns what follows them, NULL if there are none or too many. */
static const char *config_parse_digits(const char *text, int64_t *ret)
{
	const char *at = text;
	int64_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, *at - '0', &number))
			return NULL;
	}
	*ret = number;
	return at == text ? NULL : at;
}

static bool config_parse_units(const char *text, const struct config_unit units[CONFIG_UNITS], int64_t *ret)
{
	int64_t number;
	const char *rest = config_parse_digits(text, &number);

	for (int i = 0; rest && i < CONFIG_UNITS; i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(number, units[i].factor, &number))
			return false;
		*ret = number;
		return true;
	}
	return false;
}

bool config_parse_duration_ms(const char *text, int64_t *ret)
{
	return config_parse_units(text, config_durations, ret);
}

bool config_parse_size(const char *text, int64_t *ret)
{
	return config_parse_units(text, config_sizes, ret);
}

/* The least int64_t itself is not taken: its magnitude is no int64_t, and no setting needs it. */
static bool config_parse_int(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	int64_t number;
	const char *rest = config_parse_digits(text + negative, &number);

	if (!rest || *rest)
		return false;
	*ret = negative ? -number : number;
	return true;
}

static bool config_parse_switch(const char *text, int64_t *ret)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return false;
	*ret = *text == 't';
	return true;
}

static bool config_parse_number(enum config_kind kind, const char *text, int64_t *ret)
{
	switch (kind) {
	case CONFIG_INT:
		return config_parse_int(text, ret);
	case CONFIG_DURATION_MS:
		return config_parse_duration_ms(text, ret);
	case CONFIG_SIZE:
		return config_parse_size(text, ret);
	case CONFIG_SWITCH:
		return config_parse_switch(text, ret);
	case CONFIG_TEXT:
		break;
	}
	assert(!"a text has no number");
	return false;
}

static const char *config_kind_expected(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_INT:
		return "a whole number";
	case CONFIG_DURATION_MS:
		return "a duration such as 250ms, 3s, 10m or 2h";
	case CONFIG_SIZE:
		return "a size such as 512, 64k, 16m or 4g";
	case CONFIG_SWITCH:
		return "true or false";
	case CONFIG_TEXT:
		break;
	}
	return "a text";
}

const char *config_kind_name(enum config_kind kind)
{
	static const char *const names[] = {"TEXT", "NUMBER", "DURATION", "SIZE", "true|false"};

	return names[kind];
}

const char *config_number_format(enum config_kind kind, int64_t number, char buffer[CONFIG_NUMBER_MAX])
{
	const struct config_unit *units = kind == CONFIG_DURATION_MS ? config_durations : config_sizes;
	int i = 0;

	if (kind != CONFIG_DURATION_MS && kind != CONFIG_SIZE) {
		snprintf(buffer, CONFIG_NUMBER_MAX, "%" PRId64, number);
		return buffer;
	}
	while (i < CONFIG_UNITS - 1 && (number == 0 || number % units[i].factor != 0))
		i++;
	snprintf(buffer, CONFIG_NUMBER_MAX, "%" PRId64 "%s", number / units[i].factor, units[i].name);
	return buffer;
}

bool config_value_parse(
	const struct config_setting *setting, const char *text, struct config_value *ret, struct error *error)
{
	char low[CONFIG_NUMBER_MAX], high[CONFIG_NUMBER_MAX];
	struct config_value value = {.text = text};

	if (setting->kind == CONFIG_TEXT) {
		*ret = value;
		return true;
	}
	if (!config_parse_number(setting->kind, text, &value.number))
		return error_set(error, "'%s' is not %s", text, config_kind_expected(setting->kind));
	if ((setting->min || setting->max) && (value.number < setting->min || value.number > setting->max))
		return error_set(error, "'%s' is out of range: %s to %s", text,
			config_number_format(setting->kind, setting->min, low),
			config_number_format(setting->kind, setting->max, high));
	*ret = value;
	return true;
}
