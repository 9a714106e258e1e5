/* SPDX-License-Identifier: MIT */
/* pagescan version: what runs here, and what it can do on this kernel. */
#include "cli.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const struct option options[] = {{0}};

static const char *era_text(enum pagescan_era era)
{
	switch (era) {
	case PAGESCAN_ERA_NONE:
		return "not on this kernel";
	case PAGESCAN_ERA_1:
		return "yes, era 1: memory given back reads as not written";
	case PAGESCAN_ERA_2:
		return "yes, era 2: memory given back reads as written";
	case PAGESCAN_ERA_3:
		return "yes, era 3: written is said of tracked memory only";
	}
	return "yes, of an era that this version does not know";
}

static void print_categories(const char *label, uint64_t categories)
{
	printf("%-16s", label);
	for (; categories; categories &= categories - 1)
		printf(" %s", pagescan_category_name(categories & -categories));
	printf("\n");
}

/* What scans are done with, and what they tell. */
static void print_scans(const struct pagescan_description *scans)
{
	printf("scans            %s\n", scans->operation == PAGESCAN_OPERATION_KERNEL
						? "by the kernel"
						: "by the library's own engine, over /proc");
	print_categories("categories", scans->categories);
	if (scans->over_reported)
		print_categories("told too often", scans->over_reported);
	if (scans->unknown)
		print_categories("may be missing", scans->unknown);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct pagescan_capabilities can;
	struct pagescan_description scans;
	struct pagescan_error why;
	struct args args = args_begin(command, argv);
	struct utsname system = {0};
	int error;

	if (args_next(&args) == ARGS_EXIT)
		return args.exit_code;
	if (args.operand)
		return complain_usage(command, "version takes no argument");
	error = pagescan_scan_probe(&can);
	if (error)
		return complain(EXIT_REFUSED, "cannot try what this kernel does: %s",
				strerror(-error));
	error = pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &scans, &why);
	if (error && error != -EOPNOTSUPP)
		return complain_error(&why);
	uname(&system);
	printf("pagescan         %s\n", pagescan_version());
	printf("kernel           %s %s %s\n", system.sysname, system.release, system.machine);
	printf("PAGEMAP_SCAN     %s\n", era_text(can.era));
	if (!error)
		print_scans(&scans);
	printf("write tracking   %s\n", can.has_wp_async ? "yes, async write-protection"
							 : "no: the kernel or a sandbox denies it");
	printf("mapping queries  %s\n",
	       can.has_procmap_query ? "yes, PROCMAP_QUERY" : "no, /proc/PID/maps is read");
	return finish_stdout(EXIT_DONE);
}

const struct command command_version = {
	.name = "version",
	.about = "Tell the version, and what this kernel offers.",
	.usage = "pagescan version",
	.options = options,
	.run = run,
};
