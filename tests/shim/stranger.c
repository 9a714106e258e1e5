/* SPDX-License-Identifier: MIT */
/*
 * A program that tracks its own writes, as one reads in the kernel's documentation:
 * stranger CASE.
 */
#include "stranger.h"

int pagemap;

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"get-and-clear", stranger_get_and_clear},
	{"arm-by-scan", stranger_arm_by_scan},
	{"check", stranger_check},
	{"limits", stranger_limits},
	{"errors", stranger_errors},
	{"descriptors", stranger_descriptors},
	{"close-many", stranger_close_many},
	{"by-number", stranger_by_number},
	{"forks", stranger_forks},
	{"threads", stranger_threads},
	{"follow", stranger_follow},
	{"another", stranger_another},
	{"api", stranger_api},
	{"registering", stranger_registering},
	{"around", stranger_around},
	{"two-uffds", stranger_two_uffds},
	{"empty-pages", stranger_empty_pages},
	{"shared-memory", stranger_shared_memory},
	{"changing-mappings", stranger_changing_mappings},
	{"moving-mappings", stranger_moving_mappings},
	{"huge-pages", stranger_huge_pages},
	{"hugetlb", stranger_hugetlb},
	{"many-regions", stranger_many_regions},
	{"reused", stranger_reused},
	{"kernel-writes", stranger_kernel_writes},
	{"waiting", stranger_waiting},
	{"device", stranger_device},
	{"foreign", stranger_foreign},
};

int main(int argc, char **argv)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc < 2)
			puts(cases[i].name);
		else if (strcmp(argv[1], cases[i].name) == 0)
			cases[i].run();
	}
	return 0;
}
