/* SPDX-License-Identifier: MIT */
#include "process/helper.h"

#include "process/inject.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Much more than it needs; the lowest page catches an overflow. */
#define STACK_SIZE (64 * 1024)
#define GUARD_SIZE (16 * 1024)

#define SIGSET_BYTES 8

int pagescan_helper_start(struct pagescan_helper *helper, int (*run)(void *), void *arg)
{
	/* Its tracer may not stop it in the middle of its work: nobody traces it. */
	const int flags = CLONE_VM | CLONE_FILES | CLONE_UNTRACED;
	const uint64_t all = UINT64_MAX;
	uint64_t mask;
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	int r = 0;

	if (stack == MAP_FAILED)
		return -ENOMEM;
	mprotect(stack, GUARD_SIZE, PROT_NONE);
	/* Not by sigprocmask(), which leaves out those of the C library. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SIGSET_BYTES);
	helper->pid = clone(run, stack + STACK_SIZE, flags, arg);
	if (helper->pid < 0)
		r = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_BYTES);
	helper->stack = stack;
	if (r < 0)
		munmap(stack, STACK_SIZE);
	return r;
}

void pagescan_helper_wait(struct pagescan_helper *helper)
{
	/* No point where a thread is cancelled. Another's wait may have found it: that is fine. */
	while (syscall(SYS_wait4, helper->pid, NULL, __WALL, NULL) < 0 && errno == EINTR)
		;
	munmap(helper->stack, STACK_SIZE);
}

void pagescan_helper_hurry(pid_t tid)
{
	const int priority = 1;

	pagescan_raw_syscall(SYS_sched_setscheduler, (uint64_t)tid, SCHED_FIFO, (uint64_t)&priority,
			     0, 0, 0);
}

void pagescan_helper_begin(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} by_default = {0};

	pagescan_raw_syscall(SYS_setsid, 0, 0, 0, 0, 0, 0);
	pagescan_raw_syscall(SYS_prctl, PR_SET_NAME, (uint64_t) "attach-helper", 0, 0, 0, 0);
	/* Ignored, as it may be by the caller, it would not tell of a tracee's stops. */
	pagescan_raw_syscall(SYS_rt_sigaction, SIGCHLD, (uint64_t)&by_default, 0,
			     sizeof(by_default.mask), 0, 0);
	pagescan_helper_hurry(0);
}
