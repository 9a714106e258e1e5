/* SPDX-License-Identifier: MIT */
/*
 * What of a mapping only /proc/PID/smaps tells. It is dear: the kernel looks at
 * every page of every mapping that it passes. So it is read along with a walk.
 */
#ifndef PROCESS_SMAPS_H
#define PROCESS_SMAPS_H

#include "process/lines.h"
#include <stdint.h>

struct pagescan_smaps_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t huge;   /* bytes that huge entries map, but for hugetlb */
	bool is_pfnmap;  /* "pf" */
	bool is_uffd_wp; /* "uw": registered for write-protection, by whomever (R3.4) */
};

struct pagescan_smaps {
	struct pagescan_lines lines;
	bool is_open;
	bool is_reading; /* there is an answer, and what follows it may be read on */
	uint64_t asked;  /* for which address */
	struct pagescan_smaps_mapping answer;
};

/* What is asked for from now on is read anew. */
void pagescan_smaps_begin(struct pagescan_smaps *smaps);

/*
 * The first mapping that ends above @address: 1, 0 if there is none, or a negative
 * errno. Addresses that do not fall are one reading of the file. @proc_fd is needed for the
 * first call.
 */
int pagescan_smaps_find(struct pagescan_smaps *smaps, int proc_fd, uint64_t address,
			struct pagescan_smaps_mapping *ret);

void pagescan_smaps_close(struct pagescan_smaps *smaps);

#endif
