/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/process.h
 * Whose memory: the own process or any other, and its mappings.
 *
 * The rules that hold for every call stand in pagescan/pagescan.h.
 */
#ifndef PAGESCAN_PROCESS_H
#define PAGESCAN_PROCESS_H

#include <pagescan/base.h>
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A process whose memory is looked at. */
struct pagescan_process;

/** What became of a process since it was opened. */
enum pagescan_process_state {
	PAGESCAN_PROCESS_RUNNING,  /**< Still the program that was opened. */
	PAGESCAN_PROCESS_REPLACED, /**< It called exec: the memory that was opened is gone. */
	PAGESCAN_PROCESS_EXITED    /**< It ended, or is a zombie: so is its memory. */
};

#define PAGESCAN_MAPPING_READ   UINT32_C(0x1)
#define PAGESCAN_MAPPING_WRITE  UINT32_C(0x2)
#define PAGESCAN_MAPPING_EXEC   UINT32_C(0x4)
#define PAGESCAN_MAPPING_SHARED UINT32_C(0x8)

/** One mapping, as a line of /proc/PID/maps has it. */
struct pagescan_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;    /**< Where in the file it starts; 0 without a file. */
	uint64_t inode;     /**< 0 without a file. */
	uint64_t page_size; /**< Of the mapping: larger than the system's for hugetlb. */
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t flags;   /**< Or of PAGESCAN_MAPPING_*. */
	const char *name; /**< Path or "[heap]" and the like, never NULL, "" without one. Borrowed
			       until the next call on the process. */
};

/** Memory whose writes no tracker of pages sees (pins made before it was armed). */
struct pagescan_pins {
	uint64_t pinned;          /**< Bytes pinned for devices (VmPin). */
	uint32_t n_direct_files;  /**< Open files in O_DIRECT mode. */
	uint32_t n_uring_buffers; /**< Fixed buffers registered with io_uring. */
	uint32_t n_userfaultfds;  /**< Its own userfaultfds: they fail on memory we track. */
};

/**
 * Open a process to look at its memory. Nothing happens to the process.
 *
 * @param pid  0 or the own pid for the own process. A thread's id means its process.
 * @return     0, -ESRCH (no such process, or a zombie: it has no memory left),
 *             -EACCES (it is another user's, or not dumpable), -EINVAL (a kernel
 *             thread or a negative pid), -EMFILE, -ENFILE, -ENOMEM.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_process_open(pid_t pid, struct pagescan_process **ret,
							   struct pagescan_error *reterr);

/**
 * Start a program that can be tracked from its first instruction on.
 *
 * It is attached to, and stopped, at its exec until pagescan_process_resume(), so
 * that a tracker opened in between sees everything it writes. It is a child of
 * the caller, who waits for it (waitpid()). If the caller dies first, it runs on
 * untracked. While it is stopped, a helper traces it; after that, nobody.
 *
 * @param argv  Program, searched in PATH, and its arguments, NULL at the end. It
 *              inherits what exec passes on: descriptors, environment, blocked and
 *              ignored signals.
 * @return      0, or what exec failed with (-ENOENT, -EACCES, ...), -EPERM (ptrace
 *              is denied, or the program would get the rights of another user,
 *              which the kernel does not give to one that is traced), or what
 *              pagescan_tracker_open() says of attaching. No child is left then.
 */
PAGESCAN_API PAGESCAN_MUST_CHECK int pagescan_process_spawn(char *const argv[],
							    struct pagescan_process **ret,
							    struct pagescan_error *reterr);

/**
 * Let a program run that pagescan_process_spawn() started; closing it does so, too.
 *
 * @return 0, or -ESRCH if it was killed before.
 */
PAGESCAN_API int pagescan_process_resume(struct pagescan_process *process);

/** Close it. Scans and trackers of it must have been closed before. */
PAGESCAN_API void pagescan_process_close(struct pagescan_process *process);

/** @return Its process id. */
PAGESCAN_API pid_t pagescan_process_get_pid(const struct pagescan_process *process);

/** @return What became of it. */
PAGESCAN_API enum pagescan_process_state
pagescan_process_get_state(struct pagescan_process *process);

/**
 * Find the first mapping that ends above @p address. Walk them all by starting
 * at 0 and going on with each one's end. Memory may change between two calls;
 * each answer was true at one moment of its call. The vsyscall page is no mapping.
 *
 * Where the kernel has no PROCMAP_QUERY (before Linux 6.11) the walk reads
 * /proc/PID/maps; then rising addresses share one reading, and an address that is
 * not above the last one begins a new one. The name is as it stands there: a
 * newline in a path is written \012.
 *
 * @return 1 and the mapping in @p ret, 0 if there is none above, -ESRCH if the
 *         process's memory is gone.
 */
PAGESCAN_API int pagescan_process_find_mapping(struct pagescan_process *process, uint64_t address,
					       struct pagescan_mapping *ret);

/**
 * Look for what can write to memory behind every tracker's back: direct reads,
 * fixed buffers and device pins bypass page protection once they hold a page.
 *
 * @return 0, -ESRCH, or -EACCES (descriptors of another user).
 */
PAGESCAN_API int pagescan_process_find_pins(struct pagescan_process *process,
					    struct pagescan_pins *ret);

#ifdef __cplusplus
}
#endif
#endif
