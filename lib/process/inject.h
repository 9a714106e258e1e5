/* SPDX-License-Identifier: MIT */
/*
 * What the processor has a say in when a stopped thread is to do a system call
 * of ours: its registers, the instruction, and how a call that was interrupted
 * goes on. One file an architecture (inject-x86-64.c).
 *
 * All of it runs in the helper of attaching as well, which shares memory with the
 * caller's threads: no libc, no errno, nothing thread-local.
 */
#ifndef PROCESS_INJECT_H
#define PROCESS_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct pagescan_registers {
	struct user_regs_struct user;
};

/* A system call as the kernel sees it: the result, or a negative errno. */
long pagescan_raw_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			  uint64_t f);

/* Of a thread in a ptrace stop. 0, -ENOEXEC (no 64-bit code runs there), or -ESRCH. */
int pagescan_registers_get(pid_t tid, struct pagescan_registers *ret);
int pagescan_registers_set(pid_t tid, const struct pagescan_registers *registers);

/* Where the instruction is of the system call that the stop interrupted; 0: it did not. */
uint64_t pagescan_registers_get_interrupted(const struct pagescan_registers *registers);

/* Where it runs. */
uint64_t pagescan_registers_get_ip(const struct pagescan_registers *registers);
void pagescan_registers_set_ip(struct pagescan_registers *registers, uint64_t ip);

/* Turn @registers to those that do a system call at @instruction when the thread goes on. */
void pagescan_registers_prepare(struct pagescan_registers *registers, uint64_t instruction,
				long number, const uint64_t args[4]);

/* What the call returned: a result, or a negative errno. */
long pagescan_registers_get_result(const struct pagescan_registers *registers);

/*
 * Have a call that returns EINTR because of our stop made again, as the kernel
 * itself does with most calls (not with epoll_wait, semtimedop, sigtimedwait and
 * others). If a handler of a real signal runs first, it returns EINTR after all.
 * To be done where the kernel looks for signals: there it decides.
 */
void pagescan_registers_excuse(struct pagescan_registers *registers);

/* Whether the kernel makes the call that just returned again, by itself. */
bool pagescan_registers_is_restart(const struct pagescan_registers *registers);

/* Whether the system call instruction begins @code, of which @size bytes are there. */
bool pagescan_code_is_syscall(const void *code, size_t size);

#endif
