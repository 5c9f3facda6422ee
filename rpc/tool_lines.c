/* rpc/tool_lines.c - see tool_lines.h. */
#include "rpc/tool_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/store.h"

struct tool_lines {
	FILE *file;
	char *path, *unfinished; /* NULL: stdout */
	EVP_MD_CTX *digest;
	uint64_t rows;
	bool broken; /* a line could not be made */
};

struct tool_lines *tool_lines_open(const char *path, struct error *error)
{
	struct tool_lines *lines = NEW(struct tool_lines);
	int fd;

	lines->digest = EVP_MD_CTX_new();
	if (!lines->digest || !EVP_DigestInit_ex(lines->digest, EVP_sha256(), NULL))
		abort();
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

	EVP_DigestUpdate(lines->digest, text, length);
	EVP_DigestUpdate(lines->digest, "\n", 1);
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
	EVP_MD_CTX_free(lines->digest);
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

static void put_end(struct tool_lines *lines)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	EVP_DigestFinal_ex(lines->digest, digest, &size);
	fprintf(lines->file, "{\"kind\":\"end\",\"rows\":%llu,\"digest\":\"",
		(unsigned long long)lines->rows);
	for (unsigned i = 0; i < size; i++)
		fprintf(lines->file, "%02x", digest[i]);
	fputs("\"}\n", lines->file);
}

bool tool_lines_close(struct tool_lines *lines, struct error *error)
{
	bool good;

	put_end(lines);
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
