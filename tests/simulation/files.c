/* tests/simulation/files.c - see files.h. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

void file_copy(const char *from, const char *to)
{
	static char buffer[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t got;

	WORLD_CHECK(in >= 0 && out >= 0, "copying %s: %s", from, strerror(errno));
	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		WORLD_CHECK(write(out, buffer, (size_t)got) == got, "writing %s: %s", to, strerror(errno));
	WORLD_CHECK(got == 0, "reading %s: %s", from, strerror(errno));
	close(in);
	close(out);
}

void folder_make(char *path, unsigned size)
{
	const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");

	snprintf(path, size, "%s/flashsale-simulate-XXXXXX", parent ? parent : "/tmp");
	WORLD_CHECK(mkdtemp(path), "making %s: %s", path, strerror(errno));
}

void folder_empty(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char inner[512];

	while (folder && (entry = readdir(folder))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (unlink(inner) != 0)
			folder_remove(inner);
	}
	if (folder)
		closedir(folder);
}

void folder_remove(const char *path)
{
	folder_empty(path);
	rmdir(path);
}
