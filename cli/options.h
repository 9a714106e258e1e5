/* SPDX-License-Identifier: MIT */
/* Reading a command line by its description. Names are exact: no abbreviations. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli.h"

struct args {
	const struct command *command;
	char **argv; /* what is still to be read; ends with NULL */
	const char *operand;
	char **rest;       /* what follows "--", NULL without one */
	const char *value; /* of the option that was just read, if it takes one */
	int exit_code;     /* once args_next() gave ARGS_EXIT */
};

enum {
	ARGS_END = -1,
	ARGS_EXIT = -2 /* help was printed, or a mistake was complained of */
};

struct args args_begin(const struct command *command, char **argv);

/* The next option, as an index into command->options, or one of ARGS_*. */
int args_next(struct args *args);

/* Complain about the command line, with a hint at --help. Returns EXIT_USAGE. */
int complain_usage(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Print a command's --help. */
int print_help(const struct command *command);

/* Make sure what was said on standard output got there. @code, or EXIT_REFUSED. */
int finish_stdout(int code);

#endif
