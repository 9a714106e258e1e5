/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/model.h
 * A simulated address space that answers PAGEMAP_SCAN: for tests.
 *
 * A *model* holds mappings and page tables, but no contents. It is changed by the
 * operations below, each of which does to the page tables what the system call of
 * that name does, and answers the scan by the rules of any era of the kernel. No
 * kernel is asked: code that looks at memory can be tested on any machine, for
 * kernels that it does not have, and for memory that is hard to come by.
 *
 *     struct pagescan_model *model;
 *
 *     pagescan_model_new(NULL, &model);
 *     pagescan_model_map(model, 0x10000000, 16 * page, PAGESCAN_MODEL_ANON, 0, 0);
 *     pagescan_model_register(model, 0x10000000, 16 * page, PAGESCAN_MODEL_WP_ASYNC);
 *     pagescan_model_write(model, 0x10000000);
 *     pagescan_model_scan(model, &arg);
 *
 * Where kernels differ beyond the eras' meaning of "written", era 1 stands for Linux
 * 6.12 and the others for 6.18: those were compared with it, page by page.
 *
 * Addresses and lengths are multiples of the page size, but for those of single
 * pages, which may lie anywhere in them. Huge pages are as large as one page full
 * of 8-byte entries maps: 2 MiB for pages of 4 KiB.
 *
 * The rules that hold for every call stand in pagescan/pagescan.h. A model must not
 * be used by two threads at the same time.
 */
#ifndef PAGESCAN_MODEL_H
#define PAGESCAN_MODEL_H

#include <pagescan/base.h>
#include <pagescan/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A simulated address space. */
struct pagescan_model;

/** Options of pagescan_model_new(). */
struct pagescan_model_opts {
	size_t size;           /**< sizeof(struct pagescan_model_opts). */
	enum pagescan_era era; /**< Whose rules; 0: PAGESCAN_ERA_2. ERA_3 is by the rules alone: it
				    was not compared with a kernel yet. */
	uint32_t reserved;     /**< Must be zero. */
	uint64_t categories;   /**< Known to the scan, others are -EINVAL; 0: the era's. */
};

/** @return 0, -EINVAL (no such era or categories), -ENOMEM. */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_model_new(const struct pagescan_model_opts *opts,
							struct pagescan_model **ret);

/** Free it. */
PAGESCAN_API void pagescan_model_free(struct pagescan_model *model);

/**
 * Do what ioctl(pagemap_fd, PAGEMAP_SCAN, @p arg) does on that memory.
 *
 * @param arg  The kernel's struct pm_scan_arg, or any address: it is checked as
 *             the kernel checks it, as is its vector, which lies in the caller's own
 *             memory.
 * @return     Number of regions stored, or a negative errno.
 */
PAGESCAN_API int pagescan_model_scan(struct pagescan_model *model, void *arg);

/** Kinds of memory. */
enum pagescan_model_memory {
	PAGESCAN_MODEL_ANON,           /**< Private, no file. */
	PAGESCAN_MODEL_SHARED,         /**< Shared memory of no file, or a memfd. */
	PAGESCAN_MODEL_FILE,           /**< A private mapping of a memfd. */
	PAGESCAN_MODEL_HUGETLB,        /**< Private huge pages. */
	PAGESCAN_MODEL_HUGETLB_SHARED, /**< Shared huge pages. */
	PAGESCAN_MODEL_SPECIAL         /**< A device's or the kernel's (VM_PFNMAP): vvar. */
};

/** Flag for PAGESCAN_MODEL_ANON: MADV_HUGEPAGE; without it, there are never huge pages. */
#define PAGESCAN_MODEL_HUGEPAGE UINT32_C(0x100)

/**
 * Map memory, in place of what was there.
 *
 * @param memory  One of enum pagescan_model_memory, or with PAGESCAN_MODEL_HUGEPAGE.
 * @param file    Any number: equal ones are the same file or memfd. Of no meaning for
 *                private memory without a file.
 * @param offset  Where in the file.
 * @return        0, -EINVAL (unaligned, empty, beyond user memory, no such kind), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_map(struct pagescan_model *model, uint64_t start, uint64_t length,
				    uint32_t memory, uint32_t file, uint64_t offset);

/** Unmap whatever is mapped there. @return 0, -EINVAL, -ENOMEM. */
PAGESCAN_API int pagescan_model_unmap(struct pagescan_model *model, uint64_t start,
				      uint64_t length);

/** Modes of a userfaultfd registration; each stands for one userfaultfd of its own. */
enum pagescan_model_mode {
	PAGESCAN_MODEL_WP_ASYNC = 1, /**< Write-protection that the kernel resolves. */
	PAGESCAN_MODEL_WP_SYNC,      /**< Write-protection that waits for a handler. */
	PAGESCAN_MODEL_MISSING       /**< Missing pages only. */
};

/**
 * Register what is mapped there (UFFDIO_REGISTER, R10.2).
 *
 * @return 0, -EINVAL (unaligned, nothing mapped, or special memory), -EBUSY
 *         (another one has it), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_register(struct pagescan_model *model, uint64_t start,
					 uint64_t length, enum pagescan_model_mode mode);

/** Unregister, whatever the mode: bits and markers go (R10.10). @return as for register. */
PAGESCAN_API int pagescan_model_unregister(struct pagescan_model *model, uint64_t start,
					   uint64_t length);

/**
 * UFFDIO_WRITEPROTECT: arm, or take it off.
 *
 * @return 0, -EINVAL (unaligned), -ENOENT (not all of it is registered for that), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_write_protect(struct pagescan_model *model, uint64_t start,
					      uint64_t length, int on);

/**
 * Read one byte. What is not there is filled in.
 *
 * @return 0, -EFAULT (nothing mapped, or a guard page), -EAGAIN (not there, and
 *         registered for missing pages: it would wait for the handler), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_read(struct pagescan_model *model, uint64_t address);

/**
 * Write one byte.
 *
 * @return 0, -EFAULT and -EAGAIN (as for reading, and where it is armed in
 *         synchronous mode), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_write(struct pagescan_model *model, uint64_t address);

/**
 * Reclaim: private pages go to swap, shared ones leave the page table (R4.2). The zero
 * page and hugetlb stay.
 *
 * @return 0, -EINVAL (unaligned, or special memory in it), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_swap_out(struct pagescan_model *model, uint64_t start,
					 uint64_t length);

/** MADV_DONTNEED (R10.6). @return as for pagescan_model_swap_out(). */
PAGESCAN_API int pagescan_model_dontneed(struct pagescan_model *model, uint64_t start,
					 uint64_t length);

/**
 * MADV_FREE of private memory: what is not written again goes at the next reclaim.
 *
 * @return as for pagescan_model_swap_out(); -EINVAL also for a mapping with a file: what
 *         lies before it is done, as the kernel does it.
 */
PAGESCAN_API int pagescan_model_free_lazily(struct pagescan_model *model, uint64_t start,
					    uint64_t length);

/**
 * MADV_GUARD_INSTALL. What was there is gone.
 *
 * @return 0, -EINVAL (unaligned, hugetlb or special memory), -ENOMEM, -EDEADLK (over armed shared
 * memory that has nothing in it: the kernel would never return, R10.11).
 */
PAGESCAN_API int pagescan_model_guard_install(struct pagescan_model *model, uint64_t start,
					      uint64_t length);

/** MADV_GUARD_REMOVE. Leaves empty entries. @return 0, -EINVAL, -ENOMEM. */
PAGESCAN_API int pagescan_model_guard_remove(struct pagescan_model *model, uint64_t start,
					     uint64_t length);

/**
 * MADV_COLLAPSE of one huge page's range.
 *
 * @return 0, -EINVAL (unaligned, armed pages in it (R10.9), nothing of it ever there, or
 *         not memory that can be huge), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_collapse(struct pagescan_model *model, uint64_t start);

/** Split the huge page at @p address, if there is one (R7.4). @return 0, -ENOMEM. */
PAGESCAN_API int pagescan_model_split(struct pagescan_model *model, uint64_t address);

/**
 * mremap(MREMAP_MAYMOVE | MREMAP_FIXED) to the same length: nothing stays
 * registered or armed (R10.8).
 *
 * @return 0, -EINVAL (unaligned, overlapping), -EFAULT (not one mapping), -ENOMEM.
 */
PAGESCAN_API int pagescan_model_move(struct pagescan_model *model, uint64_t from, uint64_t length,
				     uint64_t to);

/**
 * fork(): the child's address space, where nothing is registered or armed (R10.7).
 *
 * @return 0, -ENOMEM.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_model_fork(struct pagescan_model *model,
							 struct pagescan_model **ret);

#ifdef __cplusplus
}
#endif
#endif
