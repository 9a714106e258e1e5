/* SPDX-License-Identifier: MIT */
/* The text files of /proc, line by line, of any length. */
#ifndef PROCESS_LINES_H
#define PROCESS_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct pagescan_lines {
	int fd;
	int error; /* why there was no next line: 0 at the end, or a negative errno */
	char *buffer;
	size_t capacity;
	size_t begin; /* of what was read and not yet handed out */
	size_t end;
};

/* 0 or a negative errno. */
int pagescan_lines_open(struct pagescan_lines *lines, int dir_fd, const char *path);

/* The next line, without its newline, or NULL. Borrowed until the next call. */
char *pagescan_lines_next(struct pagescan_lines *lines);

/* Begin again; what is read then is new. 0 or a negative errno. */
int pagescan_lines_rewind(struct pagescan_lines *lines);

void pagescan_lines_close(struct pagescan_lines *lines);

/*
 * The number after "KEY" at the beginning of a line, in base @base. 0, -ENOENT (no
 * such line), or why the file cannot be read.
 */
int pagescan_lines_find_number(int dir_fd, const char *path, const char *key, int base,
			       unsigned long long *ret);

#endif
