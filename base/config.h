/* base/config.h - settings of a program: flags, then a file, then environment variables, then the default.
 *
 * A program declares a table of settings; each has one name in dashes ("hold-ttl"): flag `--hold-ttl 3s` or `--hold-ttl=3s`, file line
 * `hold_ttl = 3s` (`#` begins a comment; `--config FILE` names the file), environment FLASHSALE_CFG_HOLD_TTL. What Kubernetes injects for
 * a Service begins with the Service's name and can't have that form. An unknown flag, file key or FLASHSALE_CFG_ variable, a value
 * that does not parse or is out of range: an error that names it, what was expected and where it stood. `--help` is recognised always.
 * FLASHSALE_CFG_CONFIG names the file when no flag does. Of a flag given twice the last counts; a name twice in the file is an error.
 * Values: text; integer with range; duration (250ms, 3s, 10m, 2h; stored in ms); size (64k, 16m, 4g; bytes); switch (true/false; a flag
 * alone means true). Threads: filled once at start by main, read-only after. */
#ifndef FLASHSALE_BASE_CONFIG_H
#define FLASHSALE_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum config_kind { CONFIG_TEXT, CONFIG_INT, CONFIG_DURATION_MS, CONFIG_SIZE, CONFIG_SWITCH };

struct config_setting {
	const char *name;          /* in dashes */
	enum config_kind kind;
	size_t offset;             /* in the program's settings struct: char * (owned), int64_t or bool */
	const char *standard;      /* the default as text; NULL: must be given (text: stays NULL when `optional`) */
	bool optional;
	int64_t min, max;          /* numbers only; both 0: no range */
	const char *help;          /* one line */
};

struct config {
	const char *program;       /* "flashsale-inventory" */
	const char *purpose;       /* one line for --help */
	const struct config_setting *settings;
	size_t count;
	const char *words;         /* for --help's usage line: "[init]"; NULL: none */
};

enum config_result { CONFIG_OK, CONFIG_HELP, CONFIG_ERROR };

/* Fills *target (its old content is not freed); on an error nothing is filled. argv[0] is skipped. Arguments that are not flags, wherever they
 * stand, are an error unless `ret_words` is given: then they are moved to the end of argv, and *ret_words is the index of the first (argc: none).
 * CONFIG_HELP: nothing was filled, the caller prints config_print_help and ends with 0. */
enum config_result config_read(const struct config *config, int argc, char **argv, void *target, int *ret_words,
	struct error *error);
void config_print_help(const struct config *config, FILE *out);
void config_release(const struct config *config, void *target);

/* The parsers, for other inputs with the same forms. */
bool config_parse_duration_ms(const char *text, int64_t *ret);
bool config_parse_size(const char *text, int64_t *ret);

#endif
