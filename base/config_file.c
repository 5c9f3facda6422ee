/* base/config_file.c - a settings file: `name = value` lines, comments, nothing else. */
#include "base/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define CONFIG_FILE_BYTES_MAX 65536

static bool config_file_read(struct config_file *file, FILE *in, const char *path, struct error *error)
{
	size_t size = fread(file->content, 1, CONFIG_FILE_BYTES_MAX + 1, in);

	if (ferror(in))
		return error_set(error, "cannot read %s: %s", path, strerror(errno));
	if (size > CONFIG_FILE_BYTES_MAX)
		return error_set(error, "%s is longer than %d bytes", path, CONFIG_FILE_BYTES_MAX);
	if (memchr(file->content, '\0', size))
		return error_set(error, "%s is not a text file: it has a zero byte", path);
	return true;
}

bool config_file_open(struct config_file *file, const char *path, struct error *error)
{
	FILE *in = fopen(path, "re");
	bool read;

	*file = (struct config_file){0};
	if (!in)
		return error_set(error, "cannot open %s: %s", path, strerror(errno));
	file->content = memory_new(CONFIG_FILE_BYTES_MAX + 2); /* zeroed, so terminated */
	file->next = file->content;
	read = config_file_read(file, in, path, error);
	fclose(in);
	if (!read)
		config_file_release(file);
	return read;
}

void config_file_release(struct config_file *file)
{
	free(file->content);
	*file = (struct config_file){0};
}

/* A `#` begins a comment at the start of a line or after a blank: a value may hold one. */
static void config_cut_comment(char *line)
{
	for (char *at = line; *at; at++) {
		if (*at == '#' && (at == line || isspace((unsigned char)at[-1]))) {
			*at = '\0';
			return;
		}
	}
}

static char *config_trim(char *text)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

bool config_file_next(struct config_file *file, char **ret_name, char **ret_value, struct error *error)
{
	while (*file->next) {
		char *line = file->next, *equals;
		size_t length = strcspn(line, "\n");

		file->next = line + length + (line[length] == '\n');
		line[length] = '\0';
		file->line++;
		config_cut_comment(line);
		line = config_trim(line);
		if (!*line)
			continue;
		equals = strchr(line, '=');
		if (!equals || equals == line)
			return error_set(error, "expected `name = value`, found '%s'", line);
		*equals = '\0';
		*ret_name = config_trim(line);
		*ret_value = config_trim(equals + 1);
		return true;
	}
	*ret_name = NULL;
	return true;
}
