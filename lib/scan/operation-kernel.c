/* SPDX-License-Identifier: MIT */
#include "scan/operation.h"

#include <errno.h>

static int kernel_scan(struct pagescan_operation_handle *handle, struct uapi_pm_scan_arg *arg)
{
	struct pagescan_operation_kernel *op = (struct pagescan_operation_kernel *)handle;
	int r = ioctl(op->pagemap_fd, UAPI_PAGEMAP_SCAN, arg);

	return r < 0 ? -errno : r;
}

void pagescan_operation_kernel_init(struct pagescan_operation_kernel *op, int pagemap_fd)
{
	*op = (struct pagescan_operation_kernel){
		.handle = {.scan = kernel_scan},
		.pagemap_fd = pagemap_fd,
	};
}
