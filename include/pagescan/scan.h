/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/scan.h
 * Which pages match a filter, and protect them in the same step.
 *
 * A filter is said as people think it and becomes the kernel's masks:
 *
 *     here        kernel (Linux 6.7 on)                            early drafts
 *     required R  category_mask = R | X                            required_mask
 *     excluded X  category_inverted = X                            excluded_mask
 *     any      A  category_anyof_mask = A                          anyof_mask
 *     report   P  return_mask = P                                  return_mask
 *
 * Those are the masks of the plain case. The library asks the kernel for the
 * cheapest masks that give the same answer: on private anonymous memory, for
 * instance, it never asks for FILE, which costs a lookup a page. (What kind of
 * memory it is, it asks just before: where a mapping is replaced in between, FILE
 * may be that of the one before.)
 *
 * A page matches if it has all of R, none of X, and at least one of A (or A is
 * 0). A filter of all zeros matches every page of every mapping, populated or not.
 *
 * The rules that hold for every call stand in pagescan/pagescan.h.
 */
#ifndef PAGESCAN_SCAN_H
#define PAGESCAN_SCAN_H

#include <pagescan/base.h>
#include <pagescan/process.h>
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A condition on categories of any shape, made from text. */
struct pagescan_expr;

/**
 * Read a condition: category names joined by `&`, `|`, `!` and parentheses, for
 * instance `written & file & !swapped & (present | huge)`. `!` binds tighter
 * than `&`, `&` tighter than `|`. Names are those of pagescan_category_name(), in
 * any case. `all` is true of every page.
 *
 * What one kernel call can express runs in the kernel; of anything else a scan
 * asks the kernel for a superset and decides page by page itself.
 *
 * @return 0, or -EINVAL, with the place of the mistake in @p reterr.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int
pagescan_expr_parse(const char *text, struct pagescan_expr **ret, struct pagescan_error *reterr);

/** Free it. Scans made with it do not need it any more. */
PAGESCAN_API void pagescan_expr_free(struct pagescan_expr *expr);

/** @return Whether a page with exactly these categories fulfils the condition. */
PAGESCAN_API bool pagescan_expr_matches(const struct pagescan_expr *expr, uint64_t categories);

/** @return Or of the categories on which the condition really depends. */
PAGESCAN_API uint64_t pagescan_expr_get_categories(const struct pagescan_expr *expr);

/** Which pages, and what to say about them. All conditions must hold. */
struct pagescan_filter {
	uint64_t required;                 /**< All of these. */
	uint64_t excluded;                 /**< None of these. */
	uint64_t any;                      /**< At least one of these; 0: no such condition. */
	uint64_t report;                   /**< What regions shall tell of each page. */
	const struct pagescan_expr *where; /**< A further condition, or NULL. */
};

/**
 * Which operation does a scan. The environment variable PAGESCAN_OPERATION, `kernel` or
 * `engine`, says what AUTO means; a program that runs with more rights than its
 * caller does not listen to it.
 *
 * AUTO is the kernel's operation, where the kernel has it and its answer is right. It is
 * not in era 1 if a question tells written pages from others among pages that are
 * not there, and asks more than that: of memory that was given back the kernel
 * says then that it was not written. A scan that protects nothing is done by the
 * engine there; one that protects is the kernel's.
 */
enum pagescan_operation {
	PAGESCAN_OPERATION_AUTO,   /**< The best that is sound here. */
	PAGESCAN_OPERATION_KERNEL, /**< The kernel's PAGEMAP_SCAN. */
	PAGESCAN_OPERATION_ENGINE  /**< The library's own, over what /proc tells. */
};

/**
 * Arm what is reported in the same step: its next write is noticed again. Only
 * memory that a tracker of this process object registered is ever armed; the
 * rest is passed over, as if it did not match (R3.3). So are pages of another
 * process that are not populated: arming them would create page tables there.
 * No page can match that is not WRITTEN, or it is -EINVAL.
 *
 * What is reported is armed, and nothing else is. If the kernel cannot tell the
 * condition of the filter in one call, pages are found first and armed then: one
 * that changed in between may be reported though it does not match any more.
 */
#define PAGESCAN_SCAN_PROTECT UINT32_C(0x1)

/** Stop with -EPERM at the first mapping that is not tracked (R7.1). */
#define PAGESCAN_SCAN_CHECK UINT32_C(0x2)

/** Options of pagescan_scan_new(). */
struct pagescan_scan_opts {
	size_t size;        /**< sizeof(struct pagescan_scan_opts). */
	uint64_t start;     /**< First byte to look at. Page aligned. */
	uint64_t end;       /**< One past the last. Rounded up to a page. 0: the end of memory. */
	uint64_t max_pages; /**< Stop after as many matching pages; 0: no limit. */
	uint32_t flags;     /**< Or of PAGESCAN_SCAN_*. */
	enum pagescan_operation operation;
};

/** A scan on its way through a range. */
struct pagescan_scan;

/**
 * Prepare a scan. @p filter and @p opts are copied.
 *
 * @return 0, -EINVAL (unaligned start, end below start, PROTECT without WRITTEN
 *         required, unknown categories, PAGESCAN_OPERATION says nonsense),
 *         -EOPNOTSUPP (the operation that is forced cannot be had on this kernel, or
 *         a category that it lacks, named in @p reterr), -ENOMEM.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_scan_new(struct pagescan_process *process,
						       const struct pagescan_filter *filter,
						       const struct pagescan_scan_opts *opts,
						       struct pagescan_scan **ret,
						       struct pagescan_error *reterr);

/** Free it. */
PAGESCAN_API void pagescan_scan_free(struct pagescan_scan *scan);

/**
 * Get the next matching regions, lowest address first, straight into the
 * caller's array. Adjacent regions with equal categories are one region, but
 * for the last of one call and the first of the next.
 *
 * Every page is looked at once: none is lost and none repeated, whatever the
 * kernel's walk_end does. Each page's answer is true at one moment of the call;
 * together they are no snapshot. A large array is cheaper: 512 and more. In
 * another process no call holds its memory long, so there are more of them.
 *
 * The array must not lie in memory that is being armed: filling it is a write.
 *
 * @param vec  Room for @p n regions, n at least 1.
 * @return     How many were stored, 0 at the end. -EPERM: PAGESCAN_SCAN_CHECK
 *             met a mapping that is not tracked, at pagescan_scan_get_position().
 *             -ESRCH: the process's memory is gone. -EMSGSIZE: with PROTECT,
 *             max_pages is smaller than the one huge page that comes next.
 *             -EINVAL: with PROTECT, the range cuts a hugetlb page. -ENOMEM.
 */
PAGESCAN_API ssize_t pagescan_scan_next(struct pagescan_scan *scan, struct pagescan_region *vec,
					size_t n);

/** @return Up to where everything was looked at and delivered. */
PAGESCAN_API uint64_t pagescan_scan_get_position(const struct pagescan_scan *scan);

/** Eras of the meaning of WRITTEN: it changed twice, and -stable kernels took part (R0). */
enum pagescan_era {
	PAGESCAN_ERA_NONE = 0, /**< No PAGEMAP_SCAN. */
	PAGESCAN_ERA_1 = 1,    /**< Linux 6.7 on: memory given back reads as not written. */
	PAGESCAN_ERA_2 = 2,    /**< 6.12.103, 6.18.44, 7.2 on: it reads as written. */
	PAGESCAN_ERA_3 = 3     /**< 7.3 on: WRITTEN exists in tracked mappings only. */
};

/** What this kernel can do by itself, found by trying it. */
struct pagescan_capabilities {
	enum pagescan_era era;
	uint64_t categories; /**< Those that PAGEMAP_SCAN accepts; 0 without it. */
	bool has_wp_async;   /**< Write tracking works, for this process, with its privilege. */
	bool has_procmap_query;
};

/**
 * Find out what the running kernel can do, by behaviour: it arms, writes and
 * looks, in memory of its own. Done once and remembered.
 *
 * @return 0, or -ENOMEM, -EMFILE and the like if it could not be tried.
 */
PAGESCAN_API int pagescan_scan_probe(struct pagescan_capabilities *ret);

/**
 * What scans are done with, and how far each category can be believed. Each of
 * @c categories is in one of the three sets below it.
 *
 * The kernel's own operation is exact. The engine knows what pagemap, maps and smaps
 * tell, and kpageflags where permitted:
 *
 *     PRESENT, SWAPPED  exact, but for hugetlb pages on their way to another place
 *     FILE              exact
 *     WRITTEN           exact of every page that is there, and in tracked memory. Of
 *                       other memory in era 2, a page that is not there counts as
 *                       written if it has a page table: that is known if any page of
 *                       the same 2 MiB is there, and taken to be so only then
 *     SOFT_DIRTY        exact, but for hugetlb: only that of the whole mapping
 *     GUARD             exact, but unknown on Linux 6.13 and 6.14
 *     WPALLOWED         of what the process object registered itself. Where the kernel
 *                       has asynchronous write-protection, others may track too:
 *                       unknown there
 *     PFNZERO           exact with CAP_SYS_ADMIN and read access to /proc/kpageflags;
 *                       without, unknown, and said of no page
 *     HUGE              of a mapping whose totals in smaps leave no choice: they are 0,
 *                       or all blocks that could be huge must be. In other mappings
 *                       unknown, and said of no page; of hugetlb it is said of places too that
 *                       have no page table yet. Where the kernel has no transparent
 *                       huge pages, only this is left: over-reported
 *
 * What it arms it has reported: with it, too, no write is lost. But a page's other
 * categories may be older than its being armed. And where HUGE is unknown, a range or
 * max_pages that ends inside of a huge page splits it.
 *
 * Its time grows with the memory that is mapped: some 8 ms for a GiB of populated
 * pages of 4 KiB, 0.3 ms for one that is empty. Where HUGE is asked for, or empty pages
 * of files, or whether empty pages are WRITTEN, it reads smaps, which takes twice as
 * long again; and another process cannot map memory while the kernel counts one of
 * its mappings for that.
 */
struct pagescan_description {
	enum pagescan_operation operation; /**< KERNEL or ENGINE. */
	enum pagescan_era era;             /**< Whose meaning of WRITTEN. */
	uint64_t categories;               /**< Those that scans accept. */
	uint64_t exact; /**< Of these: the same answer as the kernel's, but for the above. */
	uint64_t over_reported; /**< Never missing, but may be said of a page without it. */
	uint64_t unknown;       /**< May be missing. */
};

/**
 * Tell what a scan with this option (and the environment) would be done with, by this
 * process with its present privilege.
 *
 * @return 0, -EINVAL and -EOPNOTSUPP as pagescan_scan_new(), or -ENOMEM, -EMFILE and
 *         the like if it could not be tried.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_scan_describe(enum pagescan_operation operation,
							    struct pagescan_description *ret,
							    struct pagescan_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
