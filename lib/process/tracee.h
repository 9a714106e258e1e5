/* SPDX-License-Identifier: MIT */
/*
 * A thread that the helper of attaching traces: stop it, have it do system calls,
 * put it back as it was. For the helper alone: raw system calls, no libc.
 */
#ifndef PROCESS_TRACEE_H
#define PROCESS_TRACEE_H

#include "process/inject.h"

struct pagescan_tracee {
	pid_t tid;
	bool is_traced;
	bool is_stopped;                 /* where the kernel looks for signals */
	bool is_changed;                 /* what is saved below must be put back */
	uint64_t instruction;            /* a system call instruction it may use */
	struct pagescan_registers saved; /* as it goes on */
	uint64_t saved_sigmask;
	struct {
		uint64_t mode, selector, offset, length;
	} saved_dispatch;    /* of system calls to a handler of its own */
	uint64_t since_ns;   /* when it was seen to have stopped */
	uint64_t stopped_ns; /* until it was let go */
};

/* A time to wait until, of CLOCK_MONOTONIC. */
#define PAGESCAN_FOREVER UINT64_MAX

uint64_t pagescan_raw_now_ns(void);

/* Begin to trace it; it runs on. @options are PTRACE_O_* beyond those always set. */
int pagescan_tracee_seize(struct pagescan_tracee *tracee, uint64_t options);

/* Wait until a thread that is traced so that this stops it has called exec. 0 or -ESRCH. */
int pagescan_tracee_await_exec(struct pagescan_tracee *tracee);

/*
 * Seize it, and stop it where the kernel looks for signals; signals on their way are delivered.
 * -ETIMEDOUT: it is traced and may still stop. -ESRCH: it ended. -EPERM.
 */
int pagescan_tracee_stop(struct pagescan_tracee *tracee, uint64_t deadline);

/* Wait for the first stop of a child that a tracee made: it is traced as well. */
int pagescan_tracee_adopt(struct pagescan_tracee *tracee, uint64_t instruction);

/* The same from wherever it stopped, the thread being traced. */
int pagescan_tracee_settle(struct pagescan_tracee *tracee, uint64_t deadline);

/* PTRACE_O_* beyond those that are always set. 0 or a negative errno. */
int pagescan_tracee_set_options(struct pagescan_tracee *tracee, uint64_t options);

/*
 * Keep its state and block its signals, so that none comes between. @instruction
 * is used unless a system call was interrupted, whose instruction is known.
 * -ENOEXEC: it runs no 64-bit code. -EAGAIN: there is no such instruction.
 */
int pagescan_tracee_borrow(struct pagescan_tracee *tracee, uint64_t instruction);

/*
 * Have it do a system call. 0 and the call's result in @ret_result; or -ESRCH (it
 * ended), -ETIMEDOUT (it could not run; nothing was done). @ret_child, if not
 * NULL: the call is a clone, and it is left inside of it when its child is there.
 */
int pagescan_tracee_call(struct pagescan_tracee *tracee, uint64_t deadline, long number,
			 const uint64_t args[4], long *ret_result, pid_t *ret_child);

/* Have it end. */
int pagescan_tracee_end(struct pagescan_tracee *tracee, uint64_t deadline);

/* Put everything back that was kept; it stays stopped. */
void pagescan_tracee_put_back(struct pagescan_tracee *tracee);

/* Put everything back, and let it go. Once is enough. */
void pagescan_tracee_release(struct pagescan_tracee *tracee);

#endif
