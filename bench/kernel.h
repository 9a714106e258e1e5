/* SPDX-License-Identifier: MIT */
/*
 * The kernel's operation as a program without us would call it. Our own copy of the
 * struct: what stands outside the library does not see its inside.
 */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include <errno.h>
#include <pagescan/base.h>
#include <sys/ioctl.h>

struct kernel_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define KERNEL_SCAN _IOWR('f', 16, struct kernel_scan_arg)

#define KERNEL_SCAN_PROTECT UINT64_C(1)
#define KERNEL_SCAN_CHECK   UINT64_C(2)

/* Number of regions stored, or a negative errno. */
static inline int kernel_scan(int pagemap_fd, struct kernel_scan_arg *arg)
{
	int r;

	arg->size = sizeof(*arg);
	r = ioctl(pagemap_fd, KERNEL_SCAN, arg);
	return r < 0 ? -errno : r;
}

#endif
