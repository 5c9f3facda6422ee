/* tests/unit/base/folder.h - a folder of a test's own under the system's temporary one, removed with its files. */
#ifndef FLASHSALE_TESTS_FOLDER_H
#define FLASHSALE_TESTS_FOLDER_H

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define FOLDER_TEXT_MAX 512

static inline void folder_make(char path[FOLDER_TEXT_MAX])
{
	const char *parent = getenv("TMPDIR");
	int length = snprintf(path, FOLDER_TEXT_MAX, "%s/flashsale-test-XXXXXX", parent ? parent : "/tmp");

	assert(length > 0 && length < FOLDER_TEXT_MAX);
	assert(mkdtemp(path));
}

/* With all that is in it. */
static inline void folder_remove(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char *child;

	while (folder && (entry = readdir(folder))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		child = memory_format("%s/%s", path, entry->d_name);
		if (unlink(child) != 0)
			folder_remove(child);
		free(child);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

#endif
