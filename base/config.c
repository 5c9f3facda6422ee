/* base/config.c - from flags, file and environment to a program's settings; see config.h.
 *
 * Every value is checked where it is found, even one that a stronger source overrides: a broken line is a
 * mistake to hear about. Only when all is well is the program's struct written. */
#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_internal.h"
#include "base/memory.h"

#define CONFIG_ENVIRONMENT "FLASHSALE_CFG_"
#define CONFIG_SETTINGS_MAX 128
#define CONFIG_NAME_MAX 64

/* In ascending order of strength. */
enum config_source {
	CONFIG_FROM_NOWHERE,
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_ENVIRONMENT,
	CONFIG_FROM_FILE,
	CONFIG_FROM_FLAG
};

struct config_choice {
	enum config_source source;
	struct config_value value;
	int file_line; /* 0: not in the file */
};

struct config_reading {
	const struct config *config;
	struct config_choice choices[CONFIG_SETTINGS_MAX];
	struct config_file file;
	const char *file_path; /* NULL: none is named */
	char **words;	       /* arguments that are not flags, in their order */
	int word_count;
	struct error *error;
};

/* "hold-ttl" to "hold_ttl", or with `upper` to "HOLD_TTL". */
static const char *config_spell(const char *name, bool upper, char spelled[CONFIG_NAME_MAX])
{
	size_t i = 0;

	for (; name[i]; i++) {
		assert(i < CONFIG_NAME_MAX - 1);
		spelled[i] = name[i] == '-' ? '_' : name[i];
		if (upper)
			spelled[i] = (char)toupper((unsigned char)spelled[i]);
	}
	spelled[i] = '\0';
	return spelled;
}

static bool config_same(const char *name, const char *found, size_t length)
{
	return strlen(name) == length && memcmp(name, found, length) == 0;
}

/* The number of the setting that `source` spells so; -1: none. */
static int config_find(
	const struct config *config, enum config_source source, const char *found, size_t length)
{
	for (size_t i = 0; i < config->count; i++) {
		const char *name = config->settings[i].name;
		char spelled[CONFIG_NAME_MAX];

		if (source != CONFIG_FROM_FLAG)
			name = config_spell(name, source == CONFIG_FROM_ENVIRONMENT, spelled);
		if (config_same(name, found, length))
			return (int)i;
	}
	return -1;
}

static bool config_where(struct config_reading *reading, enum config_source source, const char *name)
{
	char spelled[CONFIG_NAME_MAX];

	switch (source) {
	case CONFIG_FROM_FLAG:
		return error_prefix(reading->error, "--%s", name);
	case CONFIG_FROM_FILE:
		return error_prefix(reading->error, "%s:%d: %s", reading->file_path, reading->file.line,
			config_spell(name, false, spelled));
	case CONFIG_FROM_ENVIRONMENT:
		return error_prefix(reading->error, "environment variable " CONFIG_ENVIRONMENT "%s",
			config_spell(name, true, spelled));
	default:
		return error_prefix(reading->error, "default of --%s", name);
	}
}

/* Of two from the same source the later one counts (flags: a script appends its own). */
static bool config_choose(
	struct config_reading *reading, int number, enum config_source source, const char *text)
{
	const struct config_setting *setting = &reading->config->settings[number];
	struct config_choice *choice = &reading->choices[number];
	struct config_value value;

	if (!config_value_parse(setting, text, &value, reading->error))
		return config_where(reading, source, setting->name);
	if (source >= choice->source) {
		choice->source = source;
		choice->value = value;
	}
	return true;
}

/* What a flag takes for its value: behind `=`, or the next argument; a switch alone means true.
 * NULL: there is none. */
static const char *config_flag_value(
	const struct config_setting *setting, const char *equals, int argc, char **argv, int *at)
{
	const char *next = *at + 1 < argc ? argv[*at + 1] : NULL;
	bool is_switch = setting && setting->kind == CONFIG_SWITCH;

	if (equals)
		return equals + 1;
	if (is_switch && !(next && (strcmp(next, "true") == 0 || strcmp(next, "false") == 0)))
		return "true";
	if (!next || strncmp(next, "--", 2) == 0)
		return NULL;
	++*at;
	return next;
}

static bool config_read_flag(struct config_reading *reading, int argc, char **argv, int *at)
{
	const char *flag = argv[*at], *name = flag + 2, *equals = strchr(flag, '='), *value;
	size_t length = equals && equals >= name ? (size_t)(equals - name) : strlen(flag) - 2;
	bool names_file = config_same("config", name, length);
	int number = names_file ? -1 : config_find(reading->config, CONFIG_FROM_FLAG, name, length);

	if (flag[1] != '-' || (number < 0 && !names_file))
		return error_set(reading->error, "unknown flag '%s': --help lists those there are", flag);
	value = config_flag_value(
		names_file ? NULL : &reading->config->settings[number], equals, argc, argv, at);
	if (!value)
		return error_set(reading->error, "%s needs a value", flag);
	if (!names_file)
		return config_choose(reading, number, CONFIG_FROM_FLAG, value);
	reading->file_path = value;
	return true;
}

static bool config_is_flag(const char *argument)
{
	return argument[0] == '-' && argument[1] != '\0';
}

static bool config_read_flags(struct config_reading *reading, int argc, char **argv, bool words_allowed)
{
	bool flags_end = false;

	for (int at = 1; at < argc; at++) {
		if (!flags_end && strcmp(argv[at], "--") == 0) {
			flags_end = true;
		} else if (!flags_end && config_is_flag(argv[at])) {
			if (!config_read_flag(reading, argc, argv, &at))
				return false;
		} else if (!words_allowed) {
			return error_set(reading->error,
				"unexpected argument '%s': settings begin with --, see --help", argv[at]);
		} else {
			reading->words[reading->word_count++] = argv[at];
		}
	}
	return true;
}

static bool config_read_environment(struct config_reading *reading)
{
	const size_t prefix = sizeof(CONFIG_ENVIRONMENT) - 1;

	for (char **variable = environ; variable && *variable; variable++) {
		const char *name, *equals = strchr(*variable, '=');
		size_t length;
		int number;

		if (!equals || strncmp(*variable, CONFIG_ENVIRONMENT, prefix) != 0)
			continue;
		name = *variable + prefix;
		length = (size_t)(equals - name);
		if (config_same("CONFIG", name, length)) {
			if (!reading->file_path)
				reading->file_path = equals + 1;
			continue;
		}
		number = config_find(reading->config, CONFIG_FROM_ENVIRONMENT, name, length);
		if (number < 0)
			return error_set(reading->error,
				"unknown environment variable %.*s: --help lists the settings",
				(int)(equals - *variable), *variable);
		if (!config_choose(reading, number, CONFIG_FROM_ENVIRONMENT, equals + 1))
			return false;
	}
	return true;
}

static bool config_read_pair(struct config_reading *reading, const char *name, const char *value)
{
	int number = config_find(reading->config, CONFIG_FROM_FILE, name, strlen(name));
	int line = reading->file.line;

	if (number < 0)
		return error_set(reading->error, "%s:%d: unknown name '%s': --help lists those there are",
			reading->file_path, line, name);
	if (reading->choices[number].file_line)
		return error_set(reading->error, "%s:%d: '%s' was set before, in line %d", reading->file_path,
			line, name, reading->choices[number].file_line);
	reading->choices[number].file_line = line;
	return config_choose(reading, number, CONFIG_FROM_FILE, value);
}

static bool config_read_file(struct config_reading *reading)
{
	char *name, *value;

	if (!reading->file_path)
		return true;
	if (!config_file_open(&reading->file, reading->file_path, reading->error))
		return error_prefix(reading->error, "settings file");
	for (;;) {
		if (!config_file_next(&reading->file, &name, &value, reading->error))
			return error_prefix(reading->error, "%s:%d", reading->file_path, reading->file.line);
		if (!name)
			return true;
		if (!config_read_pair(reading, name, value))
			return false;
	}
}

static bool config_complete(struct config_reading *reading)
{
	for (int i = 0; i < (int)reading->config->count; i++) {
		const struct config_setting *setting = &reading->config->settings[i];
		char upper[CONFIG_NAME_MAX], lower[CONFIG_NAME_MAX];

		if (setting->standard && !config_choose(reading, i, CONFIG_FROM_DEFAULT, setting->standard))
			return false;
		if (reading->choices[i].source == CONFIG_FROM_NOWHERE && !setting->optional)
			return error_set(reading->error,
				"--%s must be given (or %s in the settings file, or " CONFIG_ENVIRONMENT
				"%s in the environment)",
				setting->name, config_spell(setting->name, false, lower),
				config_spell(setting->name, true, upper));
	}
	return true;
}

static void config_store(const struct config_reading *reading, void *target)
{
	for (size_t i = 0; i < reading->config->count; i++) {
		const struct config_setting *setting = &reading->config->settings[i];
		const struct config_value *value = &reading->choices[i].value;
		void *place = (char *)target + setting->offset;

		switch (setting->kind) {
		case CONFIG_TEXT:
			*(char **)place = value->text ? memory_copy_text(value->text) : NULL;
			break;
		case CONFIG_SWITCH:
			*(bool *)place = value->number != 0;
			break;
		default:
			*(int64_t *)place = value->number;
		}
	}
}

/* The words go to the end of argv, in their order; what was a flag or its value stays before them. */
static int config_gather_words(const struct config_reading *reading, int argc, char **argv)
{
	int kept = 1, word = 0;

	for (int at = 1; at < argc; at++) {
		if (word < reading->word_count && argv[at] == reading->words[word])
			word++;
		else
			argv[kept++] = argv[at];
	}
	assert(word == reading->word_count && kept + word == argc);
	memcpy(argv + kept, reading->words, (size_t)word * sizeof(*argv));
	return kept;
}

static bool config_wants_help(int argc, char **argv)
{
	for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)
			return true;
	}
	return false;
}

static void config_check(const struct config *config)
{
	assert(config->count <= CONFIG_SETTINGS_MAX);
	for (size_t i = 0; i < config->count; i++) {
		const struct config_setting *setting = &config->settings[i];

		assert(setting->name && setting->help && setting->min <= setting->max);
		assert(strcmp(setting->name, "config") != 0 && strcmp(setting->name, "help") != 0);
	}
}

enum config_result config_read(
	const struct config *config, int argc, char **argv, void *target, int *ret_words, struct error *error)
{
	struct config_reading *reading;
	bool read;

	config_check(config);
	if (config_wants_help(argc, argv))
		return CONFIG_HELP;
	reading = NEW(struct config_reading);
	reading->config = config;
	reading->error = error;
	reading->words = NEW_ARRAY((size_t)argc, char *);
	read = config_read_flags(reading, argc, argv, ret_words != NULL) &&
	       config_read_environment(reading) && config_read_file(reading) && config_complete(reading);
	if (read)
		config_store(reading, target);
	if (read && ret_words)
		*ret_words = config_gather_words(reading, argc, argv);
	config_file_release(&reading->file);
	free(reading->words);
	free(reading);
	return read ? CONFIG_OK : CONFIG_ERROR;
}

static void config_print_setting(const struct config_setting *setting, FILE *out)
{
	char low[CONFIG_NUMBER_MAX], high[CONFIG_NUMBER_MAX];
	int width = fprintf(out, "  --%s %s", setting->name, config_kind_name(setting->kind));

	fprintf(out, "%*s %s", width < 32 ? 32 - width : 0, "", setting->help);
	if (setting->min || setting->max)
		fprintf(out, "; %s to %s", config_number_format(setting->kind, setting->min, low),
			config_number_format(setting->kind, setting->max, high));
	if (setting->standard)
		fprintf(out, " (default: %s)\n", *setting->standard ? setting->standard : "empty");
	else
		fputs(setting->optional ? "\n" : " (must be given)\n", out);
}

void config_print_help(const struct config *config, FILE *out)
{
	fprintf(out, "%s - %s\n\nusage: %s%s%s [--name value]...\n\n", config->program, config->purpose,
		config->program, config->words ? " " : "", config->words ? config->words : "");
	fputs("  --config FILE                  a file with more settings\n"
	      "  --help                         print this and end\n",
		out);
	for (size_t i = 0; i < config->count; i++)
		config_print_setting(&config->settings[i], out);
	fputs("\nA setting comes from its flag, else from the settings file, else from the environment, else "
	      "from its default:\n"
	      "`--some-name 3s` is `some_name = 3s` in the file and " CONFIG_ENVIRONMENT
	      "SOME_NAME=3s in the environment.\n",
		out);
}

void config_release(const struct config *config, void *target)
{
	for (size_t i = 0; i < config->count; i++) {
		char **text = (char **)(void *)((char *)target + config->settings[i].offset);

		if (config->settings[i].kind != CONFIG_TEXT)
			continue;
		free(*text);
		*text = NULL;
	}
}
