/* SPDX-License-Identifier: MIT */
/*
 * Where results go. It knows whether a person reads it, and remembers the first
 * error, which plain stdio loses.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

struct output {
	FILE *file;
	int fd;
	int stop_fd; /* readable when a reader that does not read must not be waited for; or -1 */
	int error;   /* first errno of a write, 0 for none */
	bool is_json;
	bool is_terminal;
	bool has_colour;
	int width; /* of the terminal */
	const char *name;
};

/* To the file at @path, or to @fd if it is NULL. EXIT_DONE, or complains. */
int output_open(struct output *out, const char *path, int fd, bool is_json);

/* Write out what was printed. 0, or the first error as a negative errno. */
int output_flush(struct output *out);

/* Close it. @code, or EXIT_REFUSED with a complaint if not all of it was written. */
int output_close(struct output *out, int code);

#endif
