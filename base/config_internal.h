/* base/config_internal.h - what config.c and its two helpers share; nobody else includes it. */
#ifndef FLASHSALE_BASE_CONFIG_INTERNAL_H
#define FLASHSALE_BASE_CONFIG_INTERNAL_H

#include "base/config.h"

/* A value as it was written and what it means; text points where it was found (argv, environment, file, table). */
struct config_value {
	const char *text;
	int64_t number; /* switches: 0 or 1 */
};

/* Parses and checks the range; the error says what was expected, not yet where it stood. */
bool config_value_parse(const struct config_setting *setting, const char *text, struct config_value *ret,
	struct error *error);

#define CONFIG_NUMBER_MAX 32
const char *config_number_format(enum config_kind kind, int64_t number, char buffer[CONFIG_NUMBER_MAX]);
const char *config_kind_name(enum config_kind kind); /* "DURATION", for --help */

/* A file of `name = value` lines, whole in memory. */
struct config_file {
	char *content;
	char *next;
	int line; /* of the last pair that was returned */
};

bool config_file_open(struct config_file *file, const char *path, struct error *error);

/* The next pair, trimmed and terminated, valid until the release; *ret_name is NULL at the end. */
bool config_file_next(struct config_file *file, char **ret_name, char **ret_value, struct error *error);
void config_file_release(struct config_file *file);

#endif
