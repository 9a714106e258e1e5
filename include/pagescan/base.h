/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/base.h
 * What the nouns share: regions, categories, errors.
 *
 * The rules that hold for every call stand in pagescan/pagescan.h.
 */
#ifndef PAGESCAN_BASE_H
#define PAGESCAN_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PAGESCAN_API        __attribute__((visibility("default")))
#define PAGESCAN_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PAGESCAN_API
#define PAGESCAN_MUST_CHECK
#endif

/*
 * Categories of a page: the kernel's PAGE_IS_* with the same values (R1.4). What
 * cannot be told is refused; pagescan_scan_describe() tells which can, and how well.
 */
#define PAGESCAN_IS_WPALLOWED  UINT64_C(0x001) /**< Mapping is tracked: async write-protect. */
#define PAGESCAN_IS_WRITTEN    UINT64_C(0x002) /**< Not armed: written since it last was (R4.7). */
#define PAGESCAN_IS_FILE       UINT64_C(0x004) /**< A file's or shared memory's page. */
#define PAGESCAN_IS_PRESENT    UINT64_C(0x008) /**< In memory. */
#define PAGESCAN_IS_SWAPPED    UINT64_C(0x010) /**< In swap; also an armed page without contents. */
#define PAGESCAN_IS_PFNZERO    UINT64_C(0x020) /**< The shared zero page. */
#define PAGESCAN_IS_HUGE       UINT64_C(0x040) /**< Mapped by a huge page table entry. */
#define PAGESCAN_IS_SOFT_DIRTY UINT64_C(0x080) /**< Soft-dirty (Linux 6.8 on). */
#define PAGESCAN_IS_GUARD      UINT64_C(0x100) /**< A guard page (Linux 6.16 on). */
#define PAGESCAN_IS_ACCESSED   UINT64_C(0x200) /**< Not read-armed (Linux 7.3 on). */

/** A run of adjacent pages with equal categories. The kernel's own layout: never grows. */
struct pagescan_region {
	uint64_t start;      /**< First byte. Page aligned. */
	uint64_t end;        /**< One past the last byte. Page aligned. */
	uint64_t categories; /**< Or of PAGESCAN_IS_*, of those that were asked for. */
};

/** Why a call failed, for a person to read. Caller's storage; NULL where it is not wanted. */
struct pagescan_error {
	int code;       /**< The negative errno that the call returned. */
	char text[252]; /**< What was wanted, what stood in the way, what to do. One sentence. */
};

/** @return The name of one category bit as filter expressions spell it, or NULL for no such bit. */
PAGESCAN_API const char *pagescan_category_name(uint64_t category);

#ifdef __cplusplus
}
#endif
#endif
