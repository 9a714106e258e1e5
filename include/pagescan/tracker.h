/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/tracker.h
 * Which pages were written since last time.
 *
 * A *tracker* watches ranges of one process, its own or another. The five calls
 * of its life: open, add, arm, collect, close. Between arm and collect the
 * program runs as ever; the first write to a page costs it about a microsecond.
 *
 *     struct pagescan_tracker *tracker;
 *     struct pagescan_region regions[512];
 *     uint64_t cursor = 0;
 *     ssize_t n;
 *
 *     pagescan_tracker_open(NULL, NULL, &tracker, NULL);
 *     pagescan_tracker_add(tracker, memory, length);
 *     pagescan_tracker_arm(tracker);
 *     ... the program writes ...
 *     while ((n = pagescan_tracker_collect(tracker, &cursor, regions, 512,
 *                                          PAGESCAN_COLLECT_REARM)) > 0)
 *             ... regions[0] to regions[n - 1] were written ...
 *     pagescan_tracker_close(tracker);
 *
 * What counts as a write (R10.5): stores by any thread, system calls that store
 * into memory, writes through process_vm_writev() and /proc/PID/mem. A page that
 * is not armed counts as written: before the first arm, that is every page.
 *
 * Own memory     Unpopulated pages are armed too. A page that was given back
 *                (munmap and mmap again, MADV_DONTNEED of private memory) counts
 *                as written. But MADV_DONTNEED of an armed page of a private file
 *                or of hugetlb does not: the kernel keeps it armed.
 * Another's      Nothing is created in its unpopulated memory: a page counts as
 *                written when it appears with contents of its own. A page only
 *                ever read (zero page, a private file's page) does not; the first
 *                read of a page of a *shared* mapping does. A page that was given
 *                back is not reported until it is written again.
 * Blind spots    Device writes and direct input into pages pinned before they
 *                were armed (pagescan_process_find_pins() warns); writes by other
 *                processes to shared memory; writes through a second mapping of
 *                the same memory, unless that mapping is tracked as well. In
 *                another process, also a page of shared memory that was written
 *                and then reclaimed (swapped out, or written to its file and
 *                dropped) before it was collected: its page table forgets.
 * Moves          The kernel does not merge what is tracked with what is not. A
 *                mremap() over memory that was mapped in several steps fails with
 *                EFAULT, if only some of it is tracked yet, or added at all. Where
 *                one joins tracked memory, the kernel forgets that the whole of that
 *                was tracked: it is tracked anew, and all of it counts as written.
 * Fork           A tracker does not work in a forked child, whose userfaultfd acts
 *                on the parent's memory: calls there return -ECHILD, and closing
 *                leaves the parent's tracking alone.
 *
 * The rules that hold for every call stand in pagescan/pagescan.h.
 */
#ifndef PAGESCAN_TRACKER_H
#define PAGESCAN_TRACKER_H

#include <pagescan/base.h>
#include <pagescan/process.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A watch over written pages. */
struct pagescan_tracker;

/**
 * Track every mapping that can be tracked, those of now and those to come. For
 * another process. Without it, ranges are named by pagescan_tracker_add().
 */
#define PAGESCAN_TRACKER_ALL UINT32_C(0x1)

/**
 * Do not put back at close the huge pages that tracking had to split. In another
 * process putting them back needs CAP_SYS_NICE; without it they stay split.
 */
#define PAGESCAN_TRACKER_LEAVE_SPLIT UINT32_C(0x2)

/** Options of pagescan_tracker_open(). */
struct pagescan_tracker_opts {
	size_t size;              /**< sizeof(struct pagescan_tracker_opts). */
	uint32_t flags;           /**< Or of PAGESCAN_TRACKER_*. */
	uint32_t stop_timeout_ms; /**< How long to try to stop a thread of it; 0: 1000. */
};

/**
 * Open a tracker, and attach to the process if it is another one.
 *
 * Attaching stops one thread of the process for a fraction of a millisecond and
 * gives the process one more thread for that time, which makes a userfaultfd in a
 * descriptor table of its own; it is taken over, and the thread ends. The others
 * run on. A helper process does that, so the caller may be killed at any moment;
 * only the helper's own death by SIGKILL within that time would hurt the process.
 * The stopped thread is one that a stop disturbs least. Its system call is resumed;
 * a wait that the kernel cannot resume (epoll_wait, semtimedop, sigtimedwait, reads
 * with SO_RCVTIMEO) starts its timeout again, and a process whose only thread is in
 * the middle of writing much to a slow pipe or socket sees a short write.
 *
 * When the tracker is closed, or its process dies, the kernel takes all of it
 * back: nothing stays behind.
 *
 * @param process  NULL for the own process. One tracker a process object.
 * @return  0, -EOPNOTSUPP (the kernel lacks async write-protection), -EPERM (not
 *          permitted: userfaultfd or ptrace denied, or a seccomp filter that may
 *          not be suspended), -EBUSY (already traced by another, or tracked
 *          through this process object), -EAGAIN (the process may have no further
 *          thread), -EMFILE (no descriptor free), -ETIMEDOUT (no thread would
 *          stop), -ENOEXEC (a 32-bit program), -EINTR (somebody killed the
 *          helper), -ESRCH, -ENOMEM. @p reterr says which and what to do.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_tracker_open(struct pagescan_process *process,
							   const struct pagescan_tracker_opts *opts,
							   struct pagescan_tracker **ret,
							   struct pagescan_error *reterr);

/**
 * Stop tracking and take everything back, mapping by mapping: for each, its mmap and
 * its faults may have to wait about as long as for a fork() of it. Its contents stay.
 */
PAGESCAN_API void pagescan_tracker_close(struct pagescan_tracker *tracker);

/**
 * Track one more range: from now on its pages can be armed. It is a range of
 * addresses: what is mapped there later, in the place of something or in a hole,
 * is tracked too. All of it is added or, on failure, nothing.
 *
 * Before own memory of a tracked range is handed to another userfaultfd in
 * asynchronous mode, remove it: the two could not be told apart.
 *
 * @param address  Page aligned; huge page aligned for hugetlb.
 * @param length   A multiple of the page size.
 * @return  0, -EINVAL (unaligned, empty, nothing mapped there, or special memory
 *          such as the vdso), -EBUSY (another userfaultfd holds it), -EPERM (a
 *          shared file that may not be written), -ENOMEM.
 */
PAGESCAN_API int pagescan_tracker_add(struct pagescan_tracker *tracker, uint64_t address,
				      uint64_t length);

/**
 * Stop tracking a range, or a part of one. What was not tracked is passed over.
 *
 * @return 0, -EINVAL (unaligned or empty), -ENOMEM (nothing was done).
 */
PAGESCAN_API int pagescan_tracker_remove(struct pagescan_tracker *tracker, uint64_t address,
					 uint64_t length);

/**
 * Forget what was written so far: everything tracked reads as not written from here on.
 *
 * @return 0, or -EBUSY (as for pagescan_tracker_collect(); the rest is armed),
 *         -ESRCH (the process's memory is gone), -ENOMEM.
 */
PAGESCAN_API int pagescan_tracker_arm(struct pagescan_tracker *tracker);

/** Forget each page in the same step that reports it: a loop of collects loses no write. */
#define PAGESCAN_COLLECT_REARM UINT32_C(0x1)

/**
 * Report pages written since they were last armed, lowest address first.
 *
 * Fills at most @p n regions; call again with the same @p cursor until it
 * returns 0. Begin with a cursor of 0; at the end it is 0 again, and the next call
 * begins anew. Without PAGESCAN_COLLECT_REARM a page stays reported until it is
 * armed. Mappings that were replaced meanwhile are picked up: what is in them
 * counts as written.
 *
 * @param cursor  In: where to go on. Out: where to go on next. Opaque otherwise.
 * @param vec     Room for @p n regions, outside the tracked memory. Their
 *                categories are PAGESCAN_IS_WRITTEN.
 * @param flags   0 or PAGESCAN_COLLECT_REARM.
 * @return        How many were stored, 0 at the end. -EBUSY: in a range of own
 *                memory stands now what cannot be tracked, another userfaultfd's
 *                or special memory; that piece is dropped, and the next call
 *                goes on. -ESRCH: the process's memory is gone. -ENOMEM.
 */
PAGESCAN_API ssize_t pagescan_tracker_collect(struct pagescan_tracker *tracker, uint64_t *cursor,
					      struct pagescan_region *vec, size_t n,
					      uint32_t flags);

/** Called for each region; a return other than 0 ends the visit. */
typedef int (*pagescan_region_visitor)(const struct pagescan_region *region, void *arg);

/**
 * Collect all of it, through a visitor. What the visitor ends with is returned;
 * regions armed by then but not yet shown to it come first in the next visit or
 * collect, before it begins anew.
 *
 * @return 0, what @p visit returned, or an error of pagescan_tracker_collect().
 */
PAGESCAN_API int pagescan_tracker_visit(struct pagescan_tracker *tracker, uint32_t flags,
					pagescan_region_visitor visit, void *arg);

/** Called for each mapping that cannot be tracked; @p reason is a phrase to print. */
typedef int (*pagescan_mapping_visitor)(const struct pagescan_mapping *mapping, const char *reason,
					void *arg);

/**
 * List the mappings of another process, in what is to be tracked, that are not,
 * or not fully: special memory, another userfaultfd's, shared ones (other
 * processes' writes are not seen). What once was another userfaultfd's stays its.
 *
 * @return 0, what @p visit returned, or -ESRCH.
 */
PAGESCAN_API int pagescan_tracker_visit_untracked(struct pagescan_tracker *tracker,
						  pagescan_mapping_visitor visit, void *arg);

/** What tracking cost the process so far. */
struct pagescan_tracker_cost {
	uint64_t stopped_ns;      /**< How long attaching stopped its threads. */
	uint64_t longest_hold_ns; /**< Longest call that made its mmap or faults wait. */
	uint64_t n_faults;        /**< Write faults caused, at most. */
	uint64_t n_huge_split; /**< Split since they were armed; counted at the end, as the next. */
	uint64_t n_huge_restored; /**< Of these, put back. */
};

/** Read it. Cheap. */
PAGESCAN_API void pagescan_tracker_get_cost(const struct pagescan_tracker *tracker,
					    struct pagescan_tracker_cost *ret);

/**
 * End tracking as pagescan_tracker_close() does, but keep the object, so that its
 * final cost can be read. Only get_cost and close may follow.
 */
PAGESCAN_API void pagescan_tracker_finish(struct pagescan_tracker *tracker);

#ifdef __cplusplus
}
#endif
#endif
