/* SPDX-License-Identifier: MIT */
#include "process/attach-helper.h"

#include "process/helper.h"
#include "process/tracee.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Of pidfd_open() and close_range(), by names that the C library cannot have taken. */
#define THREAD_FD     O_EXCL
#define UNSHARE_TABLE 2

/*
 * What stopped runs again at once, but for want of a processor, or frozen (cgroup).
 * So much longer than for the stop it is given.
 */
#define CALL_PATIENCE 10

static long raw(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return pagescan_raw_syscall(number, a, b, c, d, 0, 0);
}

/* Whether the thread has a seccomp filter, from its status file. If in doubt, it has. */
static bool has_filter(int status_fd)
{
	static const char key[] = "\nSeccomp:\t";
	char text[4096];
	long n = raw(SYS_pread64, (uint64_t)status_fd, (uint64_t)text, sizeof(text) - 1, 0);
	unsigned matched = 0;

	for (long i = 0; i < n; i++) {
		if (matched == sizeof(key) - 1)
			return text[i] != '0';
		if (text[i] == key[matched])
			matched++;
		else
			matched = text[i] == key[0];
	}
	/* A kernel without seccomp does not have the line. */
	return n <= 0;
}

/* A filter would kill the process for a call that it does not know. */
static int suspend_filter(struct pagescan_tracee *tracee, int status_fd)
{
	if (pagescan_tracee_set_options(tracee, PTRACE_O_SUSPEND_SECCOMP) == 0)
		return 0;
	return has_filter(status_fd) ? -EPERM : 0;
}

static int call(struct pagescan_tracee *tracee, uint64_t deadline, long number, uint64_t a,
		uint64_t b, uint64_t c)
{
	const uint64_t args[4] = {a, b, c, 0};
	long result;
	int r = pagescan_tracee_call(tracee, deadline, number, args, &result, NULL);

	return r < 0 ? r : (int)result;
}

static int take_over(struct pagescan_attach_job *job, pid_t tid, int fd)
{
	long pidfd = raw(SYS_pidfd_open, (uint64_t)tid, job->has_thread_fd ? THREAD_FD : 0, 0, 0);
	long r;

	if (pidfd < 0)
		return (int)pidfd;
	r = raw(SYS_pidfd_getfd, (uint64_t)pidfd, (uint64_t)fd, 0, 0);
	raw(SYS_close, (uint64_t)pidfd, 0, 0, 0);
	return (int)r;
}

/* A table of its own, without the process's files in it: what it opens is nobody else's. */
static int use_child(struct pagescan_attach_job *job, struct pagescan_tracee *child,
		     uint64_t deadline)
{
	const uint64_t flags = O_CLOEXEC | O_NONBLOCK | UAPI_UFFD_USER_MODE_ONLY;
	int r = call(child, deadline, SYS_close_range, 0, UINT32_MAX, UNSHARE_TABLE);

	if (r == 0)
		r = call(child, deadline, SYS_userfaultfd, flags, 0, 0);
	if (r < 0)
		return r;
	job->step = PAGESCAN_ATTACH_TAKE;
	r = take_over(job, child->tid, r);
	if (r < 0)
		return r;
	job->uffd = r;
	return 0;
}

/*
 * Give the process one more thread, or, where the kernel cannot take descriptors
 * from a thread, a child process in the same memory. 0 and its id, or an error.
 */
static int make_child(struct pagescan_attach_job *job, struct pagescan_tracee *parent,
		      uint64_t deadline, pid_t *ret)
{
	uint64_t flags = CLONE_VM | CLONE_FILES;
	uint64_t args[4] = {0};
	long result;
	int r;

	if (job->has_thread_fd)
		flags |= CLONE_THREAD | CLONE_SIGHAND | CLONE_SYSVSEM;
	args[0] = flags;
	r = pagescan_tracee_call(parent, deadline, SYS_clone, args, &result, ret);
	if (r < 0)
		return r;
	return *ret ? 0 : (int)result;
}

/* The child has ended; as a process, it waits to be noticed. */
static void reap_child(struct pagescan_tracee *parent, pid_t tid)
{
	if (pagescan_tracee_settle(parent, PAGESCAN_FOREVER) == 0)
		call(parent, PAGESCAN_FOREVER, SYS_wait4, (uint64_t)tid, 0, __WALL | WNOHANG);
}

static int work_through(struct pagescan_attach_job *job, struct pagescan_tracee *parent,
			uint64_t deadline)
{
	struct pagescan_tracee child;
	int r;

	job->step = PAGESCAN_ATTACH_THREAD;
	child.tid = 0;
	r = make_child(job, parent, deadline, &child.tid);
	if (r < 0)
		return r;
	/* A process that has one thread shall not find itself with two: there, hold it. */
	if (job->has_thread_fd && !job->is_alone)
		pagescan_tracee_release(parent);
	r = pagescan_tracee_adopt(&child, parent->instruction);
	if (r == 0) {
		job->step = PAGESCAN_ATTACH_CALL;
		pagescan_helper_hurry(child.tid);
		r = use_child(job, &child, deadline);
		pagescan_tracee_end(&child, deadline);
	}
	if (!job->has_thread_fd)
		reap_child(parent, child.tid);
	return r;
}

int pagescan_attach_through(struct pagescan_attach_job *job, struct pagescan_tracee *tracee,
			    int status_fd)
{
	uint64_t deadline = pagescan_raw_now_ns() + CALL_PATIENCE * job->timeout_ns;
	int r;

	job->step = PAGESCAN_ATTACH_SECCOMP;
	r = suspend_filter(tracee, status_fd);
	if (r < 0)
		return r;
	job->step = PAGESCAN_ATTACH_BORROW;
	r = pagescan_tracee_borrow(tracee, job->instruction);
	if (r < 0)
		return r;
	return work_through(job, tracee, deadline);
}

static int try_thread(struct pagescan_attach_job *job, struct pagescan_tracee *tracee,
		      int status_fd, uint64_t deadline)
{
	int r;

	job->step = PAGESCAN_ATTACH_STOP;
	r = pagescan_tracee_stop(tracee, deadline);
	if (r < 0)
		return r;
	r = pagescan_attach_through(job, tracee, status_fd);
	pagescan_tracee_release(tracee);
	job->stopped_ns += tracee->stopped_ns;
	return r;
}

/* Whether another thread may do where this one did not. */
static bool may_differ(enum pagescan_attach_step step, int r)
{
	return r == -ESRCH || (r < 0 && step < PAGESCAN_ATTACH_THREAD);
}

/* One that did not stop in time may have stopped since; our end lets go of the others. */
static void let_go(struct pagescan_tracee *tracee)
{
	if (!tracee->is_traced || pagescan_tracee_settle(tracee, 0) < 0)
		return;
	pagescan_tracee_borrow(tracee, 0);
	pagescan_tracee_release(tracee);
}

int pagescan_attach_helper(void *arg)
{
	struct pagescan_attach_job *job = arg;
	struct pagescan_tracee tracees[PAGESCAN_MAX_CANDIDATES];
	enum pagescan_attach_step step = PAGESCAN_ATTACH_STOP;
	uint64_t share = job->timeout_ns / (uint64_t)job->n_candidates;
	uint64_t deadline = pagescan_raw_now_ns();
	int result = -ESRCH, r = -ESRCH, n;

	pagescan_helper_begin();
	for (n = 0; n < job->n_candidates && may_differ(job->step, r); n++) {
		deadline += share;
		tracees[n].tid = job->tids[n];
		r = try_thread(job, &tracees[n], job->status_fds[n], deadline);
		/* That a thread has ended tells the least. */
		if (r == 0 || result == -ESRCH) {
			result = r;
			step = job->step;
		}
	}
	for (int i = 0; i < n; i++)
		let_go(&tracees[i]);
	job->step = step;
	job->result = result;
	return 0;
}
