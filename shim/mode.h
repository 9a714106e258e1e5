/* SPDX-License-Identifier: MIT */
/* What is emulated. */
#ifndef SHIM_MODE_H
#define SHIM_MODE_H

enum pagescan_shim_mode {
	PAGESCAN_SHIM_UNKNOWN, /* not found out yet */
	PAGESCAN_SHIM_NOTHING,
	PAGESCAN_SHIM_SCAN, /* PAGEMAP_SCAN alone: userfaultfd is the kernel's */
	PAGESCAN_SHIM_ALL
};

/* The environment says, or what this kernel lacks. errno stays as it is. */
enum pagescan_shim_mode pagescan_shim_mode(void);

#endif
