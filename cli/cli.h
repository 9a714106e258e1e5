/* SPDX-License-Identifier: MIT */
/* What the subcommands share: how they are described, how they end, how they complain. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <pagescan/pagescan.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* by the kernel, by permission, by the output */
	EXIT_USAGE = 2
};

/* Say one sentence on standard error, "pagescan: ...", and return @code. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what the library said. */
int complain_error(const struct pagescan_error *error);

/* An option is `--name`, or `--name arg` where arg is not NULL. */
struct option {
	const char *name;
	const char *arg;
	const char *help;
};

/* --help is printed from this, and the options are read by it: they cannot disagree. */
struct command {
	const char *name;
	const char *about;
	const char *usage;
	const struct option *options; /* ends with one without a name */
	const char *examples;
	int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_scan;
extern const struct command command_watch;
extern const struct command command_version;

#endif
