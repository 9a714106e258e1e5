/* SPDX-License-Identifier: MIT */
/* What pagescan_scan_probe() found, and what only the library needs to know. */
#ifndef SCAN_PROBE_H
#define SCAN_PROBE_H

#include <pagescan/scan.h>

struct pagescan_probed {
	struct pagescan_capabilities capabilities;
	uint64_t memory_end; /* the end of user memory: a range beyond is refused (R2.7) */
};

/* Errors as pagescan_scan_probe(). */
int pagescan_probe(struct pagescan_probed *ret);

#endif
