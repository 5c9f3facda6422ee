/* rpc/tool_lines.c - see tool_lines.h. */
#include "rpc/tool_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/store.h"

struct tool_lines {
	FILE *file;
	char *path, *unfinished; /* NULL: stdout */
	XXH3_state_t *digest;
	uint64_t rows;
	bool broken; /* a line could not be made */
};

struct tool_lines *tool_lines_open(const char *path, struct error *error)
{
	struct tool_lines *lines = NEW(struct tool_lines);
	int fd;

	lines->digest = XXH3_createState();
	if (!lines->digest)
		abort();
	XXH3_128bits_reset(lines->digest);
	lines->file = stdout;
	if (!path)
		return lines;
	lines->path = memory_copy_text(path);
	lines->unfinished = memory_format("%s.unfinished", path);
	fd = access(path, F_OK) == 0
		     ? (errno = EEXIST, -1)
		     : open(lines->unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	lines->file = fd < 0 ? NULL : fdopen(fd, "w");
	if (lines->file)
		return lines;
	error_set(error, "%s can't be written: %s", path, strerror(errno));
	tool_lines_drop(lines);
	return NULL;
}

static void put_text(struct tool_lines *lines, const char *text)
{
	size_t length = strlen(text);

	XXH3_128bits_update(lines->digest, text, length);
	XXH3_128bits_update(lines->digest, "\n", 1);
	fwrite(text, 1, length, lines->file);
	fputc('\n', lines->file);
}

void tool_lines_put(struct tool_lines *lines, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	if (text)
		put_text(lines, text);
	else
		lines->broken = true;
	lines->rows++;
	free(text);
	json_decref(object);
}

static void free_lines(struct tool_lines *lines)
{
	XXH3_freeState(lines->digest);
	free(lines->path);
	free(lines->unfinished);
	free(lines);
}

static bool finish_file(struct tool_lines *lines, struct error *error)
{
	bool good = fsync(fileno(lines->file)) == 0;

	good = fclose(lines->file) == 0 && good;
	lines->file = NULL;
	if (!good || rename(lines->unfinished, lines->path) != 0)
		return error_set(error, "%s can't be written: %s", lines->path, strerror(errno));
	return store_sync_folder_of(lines->path, error);
}

bool tool_lines_close(struct tool_lines *lines, struct error *error)
{
	XXH128_hash_t digest = XXH3_128bits_digest(lines->digest);
	bool good;

	fprintf(lines->file, "{\"kind\":\"end\",\"rows\":%llu,\"digest\":\"%016llx%016llx\"}\n",
		(unsigned long long)lines->rows, (unsigned long long)digest.high64,
		(unsigned long long)digest.low64);
	good = fflush(lines->file) == 0 && !ferror(lines->file);
	if (!good)
		error_set(error, "%s can't be written: %s", lines->path ? lines->path : "stdout",
			strerror(errno));
	else if (lines->broken)
		good = error_set(error, "a row can't be written as JSON");
	else if (lines->path)
		good = finish_file(lines, error);
	if (good)
		free_lines(lines);
	else
		tool_lines_drop(lines);
	return good;
}

void tool_lines_drop(struct tool_lines *lines)
{
	if (lines->path && lines->file)
		fclose(lines->file);
	if (lines->unfinished)
		unlink(lines->unfinished);
	free_lines(lines);
}

json_t *tool_hex(const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = bytes;
	char text[513];

	if (!size || size > 256)
		return size ? NULL : json_null();
	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	return json_stringn(text, 2 * size);
}

json_t *tool_text(const void *text, size_t size)
{
	return json_stringn(size ? text : "", size);
}
