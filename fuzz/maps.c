/* SPDX-License-Identifier: MIT */
/* Any text as /proc/PID/maps: mappings rise, and the reading ends. */
#include "fuzz.h"
#include "process/mapping_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[32];

static void remove_directory(void)
{
	rmdir(path);
}

/* A directory with such a file in it, which stands for /proc/PID. */
static int open_directory(const uint8_t *data, size_t size)
{
	int dir, file;

	if (!path[0]) {
		snprintf(path, sizeof(path), "/tmp/pagescan-fuzz-XXXXXX");
		if (!mkdtemp(path))
			return -1;
		atexit(remove_directory);
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(dir, "maps", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || write(file, data, size) != (ssize_t)size) {
		close(dir);
		dir = -1;
	}
	close(file);
	return dir;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pagescan_maps_text text;
	struct pagescan_mapping mapping;
	uint64_t at = 0;
	int dir = open_directory(data, size);

	if (dir < 0)
		return 0;
	if (pagescan_maps_text_open(&text, dir) == 0) {
		while (pagescan_maps_text_find(&text, at, &mapping) > 0) {
			fuzz_assert(mapping.end > at && mapping.name);
			at = mapping.end;
		}
		pagescan_maps_text_close(&text);
	}
	unlinkat(dir, "maps", 0);
	close(dir);
	return 0;
}
