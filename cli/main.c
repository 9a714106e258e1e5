/* SPDX-License-Identifier: MIT */
/* The command: picks the subcommand. */
#include "cli.h"
#include "options.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {&command_scan, &command_watch, &command_version};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int complain(int code, const char *format, ...)
{
	va_list list;

	fputs("pagescan: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	return code;
}

int complain_error(const struct pagescan_error *error)
{
	return complain(EXIT_REFUSED, "%s", error->text[0] ? error->text : strerror(-error->code));
}

static int print_overview(void)
{
	printf("Usage: pagescan COMMAND [ARGUMENT...]\n\n"
	       "See the pages of a running process, and which of them it writes.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->about);
	printf("\n'pagescan COMMAND --help' says more, with examples.\n");
	return finish_stdout(EXIT_DONE);
}

/*
 * A closed pipe must be an error that is seen, so that a process being watched
 * is let go in order. A handler, unlike SIG_IGN, is not inherited by a program
 * that we start.
 */
static void on_sigpipe(int signal_number)
{
}

static void catch_sigpipe(void)
{
	struct sigaction action = {.sa_handler = on_sigpipe, .sa_flags = SA_RESTART};
	struct sigaction old;

	if (!sigaction(SIGPIPE, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGPIPE, &action, NULL);
}

int main(int argc, char **argv)
{
	/* Names of files in the terminal's encoding; numbers stay as they are everywhere. */
	setlocale(LC_CTYPE, "");
	catch_sigpipe();
	if (argc < 2)
		return complain_usage(NULL, "no command was given");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return print_overview();
	if (!strcmp(argv[1], "--version")) {
		printf("pagescan %s\n", pagescan_version());
		return finish_stdout(EXIT_DONE);
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i]->name))
			return commands[i]->run(commands[i], argc - 2, argv + 2);
	}
	return complain_usage(NULL, "there is no %s '%s'", argv[1][0] == '-' ? "option" : "command",
			      argv[1]);
}
