/* SPDX-License-Identifier: MIT */
/* Which operation does a scan, and what it can do. */
#ifndef SCAN_CHOOSE_H
#define SCAN_CHOOSE_H

#include "scan/probe.h"

struct pagescan_choice {
	enum pagescan_operation operation; /* KERNEL or ENGINE */
	bool is_forced;                    /* by the option or the environment */
	struct pagescan_probed can;
};

/* Errors as pagescan_scan_describe(). */
int pagescan_operation_choose(enum pagescan_operation wanted, struct pagescan_choice *ret,
			      struct pagescan_error *reterr);

#endif
