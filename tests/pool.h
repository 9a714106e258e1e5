/* SPDX-License-Identifier: MIT */
/* Huge pages of hugetlb, borrowed from the system for the time of a test program. */
#ifndef TESTS_POOL_H
#define TESTS_POOL_H

#include <stdio.h>

#define POOL_FILE "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

/*
 * By so many more or fewer: others borrow from it too. How many there are then, or -1.
 * It may be that fewer came than were asked for.
 */
static inline long pool_change(long by)
{
	FILE *file = fopen(POOL_FILE, "r+e");
	long n = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &n) == 1 && by) {
		rewind(file);
		fprintf(file, "%ld", n + by > 0 ? n + by : 0);
	}
	fclose(file);
	return by ? pool_change(0) : n;
}

#endif
