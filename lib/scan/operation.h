/* SPDX-License-Identifier: MIT */
/*
 * The operation seam: the kernel's own ABI. An operation does what the ioctl
 * does: result, written-back walk_end, errno and all.
 */
#ifndef SCAN_OPERATION_H
#define SCAN_OPERATION_H

#include "uapi/pagemap.h"
#include <pagescan/scan.h>

struct pagescan_operation_handle {
	/* Number of regions stored, or a negative errno. Only walk_end is written back (R1.7). */
	int (*scan)(struct pagescan_operation_handle *handle, struct uapi_pm_scan_arg *arg);
};

/* The ioctl on a pagemap fd. */
struct pagescan_operation_kernel {
	struct pagescan_operation_handle handle;
	int pagemap_fd; /* borrowed */
};

void pagescan_operation_kernel_init(struct pagescan_operation_kernel *op, int pagemap_fd);

struct pagescan_view;

/* The same, performed here over a view of memory. Any address may stand in the argument. */
struct pagescan_operation_engine {
	struct pagescan_operation_handle handle;
	struct pagescan_view *view; /* borrowed */
	enum pagescan_era era;
	uint64_t categories; /* those that it knows: others are -EINVAL (R2.4) */
	uint64_t memory_end; /* of user memory (R2.7) */
};

void pagescan_operation_engine_init(struct pagescan_operation_engine *op,
				    struct pagescan_view *view, enum pagescan_era era,
				    uint64_t categories, uint64_t memory_end);

#endif
