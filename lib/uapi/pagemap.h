/* SPDX-License-Identifier: MIT */
/*
 * The kernel's interface to /proc/PID/pagemap and /proc/PID/maps, under names of
 * our own: Debian 12's headers (6.1) lack it, and a guard on the kernel's macros
 * would hide half of it from whoever included an older header first.
 */
#ifndef UAPI_PAGEMAP_H
#define UAPI_PAGEMAP_H

#include <assert.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* R1.2 */
struct uapi_pm_scan_arg {
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
static_assert(sizeof(struct uapi_pm_scan_arg) == 96, "R1.1: the size is part of the ioctl number");

/* R1.1 */
#define UAPI_PAGEMAP_SCAN _IOWR('f', 16, struct uapi_pm_scan_arg)

/* R1.5 */
#define UAPI_PM_SCAN_WP_MATCHING   UINT64_C(1)
#define UAPI_PM_SCAN_CHECK_WPASYNC UINT64_C(2)

/* Linux 6.11 on, on an fd of /proc/PID/maps. */
struct uapi_procmap_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};
static_assert(sizeof(struct uapi_procmap_query) == 104, "the size is part of the ioctl number");

#define UAPI_PROCMAP_QUERY _IOWR('f', 17, struct uapi_procmap_query)

#define UAPI_PROCMAP_QUERY_COVERING_OR_NEXT_VMA UINT64_C(0x10)

/* Entries of /proc/PID/pagemap (R11.1). */
#define UAPI_PAGEMAP_PRESENT   (UINT64_C(1) << 63)
#define UAPI_PAGEMAP_SWAPPED   (UINT64_C(1) << 62)
#define UAPI_PAGEMAP_FILE      (UINT64_C(1) << 61)
#define UAPI_PAGEMAP_GUARD     (UINT64_C(1) << 58)
#define UAPI_PAGEMAP_UFFD_WP   (UINT64_C(1) << 57)
#define UAPI_PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define UAPI_PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)
#define UAPI_PAGEMAP_PFN_MASK  ((UINT64_C(1) << 55) - 1)

#endif
