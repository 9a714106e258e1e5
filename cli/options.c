/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct args args_begin(const struct command *command, char **argv)
{
	return (struct args){.command = command, .argv = argv};
}

int complain_usage(const struct command *command, const char *format, ...)
{
	va_list list;

	fputs("pagescan: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "; see 'pagescan %s%s--help'\n", command ? command->name : "",
		command ? " " : "");
	return EXIT_USAGE;
}

int finish_stdout(int code)
{
	int error;

	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	error = errno ? errno : EIO;
	if (error != EPIPE)
		complain(EXIT_REFUSED, "cannot write the output: %s", strerror(error));
	return EXIT_REFUSED;
}

static void print_option(const struct option *option)
{
	char left[40];

	snprintf(left, sizeof(left), "--%s%s%s", option->name, option->arg ? " " : "",
		 option->arg ? option->arg : "");
	printf("  %-20s %s\n", left, option->help);
}

int print_help(const struct command *command)
{
	printf("Usage: %s\n\n%s\n\nOptions:\n", command->usage, command->about);
	for (const struct option *option = command->options; option->name; option++)
		print_option(option);
	print_option(&(struct option){"help", NULL, "print this"});
	if (command->examples)
		printf("\nExamples:\n%s", command->examples);
	return finish_stdout(EXIT_DONE);
}

static int leave(struct args *args, int exit_code)
{
	args->exit_code = exit_code;
	return ARGS_EXIT;
}

static int read_option(struct args *args, const char *text)
{
	const struct option *options = args->command->options;
	size_t length = strcspn(text, "=");
	bool has_value = text[length] == '=';

	for (int i = 0; options[i].name; i++) {
		if (strlen(options[i].name) != length || memcmp(options[i].name, text, length))
			continue;
		args->value = NULL;
		if (has_value && !options[i].arg)
			return leave(args, complain_usage(args->command, "--%s takes no value",
							  options[i].name));
		if (has_value)
			args->value = text + length + 1;
		else if (options[i].arg && !(args->value = *args->argv++))
			return leave(args, complain_usage(args->command, "--%s needs a value: %s",
							  options[i].name, options[i].arg));
		return i;
	}
	return leave(args, complain_usage(args->command, "%s knows no option '--%.*s'",
					  args->command->name, (int)length, text));
}

int args_next(struct args *args)
{
	const char *word;

	while ((word = *args->argv)) {
		args->argv++;
		if (!strcmp(word, "--")) {
			args->rest = args->argv;
			return ARGS_END;
		}
		if (!strcmp(word, "--help") || !strcmp(word, "-h"))
			return leave(args, print_help(args->command));
		if (!strncmp(word, "--", 2))
			return read_option(args, word + 2);
		if (word[0] == '-' && word[1])
			return leave(args, complain_usage(args->command, "%s knows no option '%s'",
							  args->command->name, word));
		if (args->operand)
			return leave(args, complain_usage(args->command,
							  "'%s' is one argument too many", word));
		args->operand = word;
	}
	return ARGS_END;
}
