/* SPDX-License-Identifier: MIT */
#include "process/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* seq files answer a read with about a page; a longer line makes the buffer grow. */
#define FIRST_CAPACITY 8192

int pagescan_lines_open(struct pagescan_lines *lines, int dir_fd, const char *path)
{
	*lines = (struct pagescan_lines){.fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC)};
	return lines->fd < 0 ? -errno : 0;
}

static int make_room(struct pagescan_lines *lines)
{
	size_t capacity = lines->capacity ? lines->capacity * 2 : FIRST_CAPACITY;
	char *buffer;

	if (lines->begin > 0) {
		memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
		lines->end -= lines->begin;
		lines->begin = 0;
	}
	/* One byte stays free for the end of a last line without a newline. */
	if (lines->end + 1 < lines->capacity)
		return 0;
	buffer = realloc(lines->buffer, capacity);
	if (!buffer)
		return -ENOMEM;
	lines->buffer = buffer;
	lines->capacity = capacity;
	return 0;
}

/* 1 if more was read, 0 at the end. */
static int fill(struct pagescan_lines *lines)
{
	ssize_t n;
	int r = make_room(lines);

	if (r < 0)
		return r;
	do {
		n = read(lines->fd, lines->buffer + lines->end, lines->capacity - lines->end - 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	lines->end += (size_t)n;
	return n > 0;
}

char *pagescan_lines_next(struct pagescan_lines *lines)
{
	size_t seen = 0;

	for (;;) {
		char *line = NULL, *newline = NULL;
		size_t n = lines->end - lines->begin;
		int r;

		if (n > seen) {
			line = lines->buffer + lines->begin;
			newline = memchr(line + seen, '\n', n - seen);
		}
		if (newline) {
			*newline = '\0';
			lines->begin += (size_t)(newline - line) + 1;
			return line;
		}
		seen = n;
		r = fill(lines);
		if (r > 0)
			continue;
		lines->error = r;
		if (r < 0 || n == 0)
			return NULL;
		/* fill() may have moved it. */
		line = lines->buffer + lines->begin;
		line[n] = '\0';
		lines->begin = lines->end;
		return line;
	}
}

int pagescan_lines_rewind(struct pagescan_lines *lines)
{
	lines->begin = lines->end = 0;
	return lseek(lines->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

void pagescan_lines_close(struct pagescan_lines *lines)
{
	if (lines->fd >= 0)
		close(lines->fd);
	free(lines->buffer);
	*lines = (struct pagescan_lines){.fd = -1};
}

int pagescan_lines_find_number(int dir_fd, const char *path, const char *key, int base,
			       unsigned long long *ret)
{
	struct pagescan_lines lines;
	size_t length = strlen(key);
	char *line;
	int r = pagescan_lines_open(&lines, dir_fd, path);

	if (r < 0)
		return r;
	while ((line = pagescan_lines_next(&lines))) {
		if (strncmp(line, key, length) == 0)
			break;
	}
	if (line)
		*ret = strtoull(line + length, NULL, base);
	else
		r = lines.error ? lines.error : -ENOENT;
	pagescan_lines_close(&lines);
	return r;
}
