/* SPDX-License-Identifier: MIT */
/**
 * @file pagescan/pagescan.h
 * Tell which pages of memory match a question, above all which were written
 * since last asked, and re-arm in the same step: of the own process and of any
 * running one.
 *
 * A *process* is whose memory it is. A *scan* asks which pages match a filter. A
 * *tracker* asks which pages were written since it last asked.
 *
 * Rules that hold for every function, stated once:
 *
 * Units      Addresses and lengths are bytes. Ranges are half-open: [start, end).
 *            Pages are counted in units of the system's page size.
 * Errors     Functions that return int or ssize_t return a negative errno value
 *            on failure. errno itself is neither read nor set for the caller.
 *            A wrong argument is -EINVAL unless it says otherwise. A function
 *            with a `reterr` fills it on failure, if it is not NULL.
 * Outputs    A `ret` parameter is written on success only. One exception keeps
 *            writes from being lost: regions that were re-armed before a failure
 *            are delivered first, and the next call returns the error.
 * Ownership  What X_open(), X_new() or X_parse() stores in `*ret` belongs to the
 *            caller until X_close() or X_free(), which accept NULL and cannot
 *            fail. Everything else handed out is borrowed.
 * Options    A struct with a first member `size` grows in later releases. Set
 *            `size` to its sizeof and everything unused to zero. NULL means all
 *            defaults. Unknown non-zero bytes give -E2BIG, unknown flags -EINVAL.
 * Threads    Distinct objects may be used from distinct threads at once. One
 *            object, and a process together with the scans and trackers made
 *            from it, must not be used by two threads at the same time. Other
 *            threads may write to tracked memory at any time.
 * Fork       The objects are the parent's. In the child, they must only be closed.
 * Privilege  Whatever works without, needs none. Other processes need what
 *            ptrace needs: the same user, or CAP_SYS_PTRACE.
 * Output     The library never prints, never exits, and installs no signal handler.
 * Since      0.1 unless stated otherwise.
 */
#ifndef PAGESCAN_PAGESCAN_H
#define PAGESCAN_PAGESCAN_H

#include <pagescan/base.h>
#include <pagescan/process.h>
#include <pagescan/scan.h>
#include <pagescan/tracker.h>

/** The version of these headers. */
#define PAGESCAN_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** @return The version of the library that runs, for instance "0.1.0". */
PAGESCAN_API const char *pagescan_version(void);

#ifdef __cplusplus
}
#endif
#endif
