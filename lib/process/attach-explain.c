/* SPDX-License-Identifier: MIT */
#include "process/attach-explain.h"

#include "base/error.h"
#include "process/attach-plan.h"
#include "process/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int pagescan_explain_call(int r, struct pagescan_error *reterr)
{
	switch (r) {
	case -ENOSYS:
		return pagescan_error_set(
			reterr, -EOPNOTSUPP,
			"tracking writes needs userfaultfd, which this kernel was "
			"built without");
	case -EINVAL:
		return pagescan_error_set(reterr, -EOPNOTSUPP,
					  "tracking writes needs userfaultfd in user mode, which "
					  "came with Linux 5.11");
	case -EPERM:
	case -EACCES:
		return pagescan_error_set(
			reterr, -EPERM,
			"tracking writes needs the system call userfaultfd, which "
			"is denied here: allow it in the sandbox's seccomp profile");
	case -EMFILE:
	case -ENFILE:
		return pagescan_error_set(reterr, r,
					  "tracking writes needs one more file descriptor: raise "
					  "the limit of open files (ulimit -n)");
	default:
		return pagescan_error_set(reterr, r, "cannot make a userfaultfd: %s", strerror(-r));
	}
}

static int explain_traced(pid_t pid, pid_t tracer, struct pagescan_error *reterr)
{
	char path[32], name[32] = "";
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tracer);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, sizeof(name) - 1);
		close(fd);
	}
	name[n > 0 ? n - 1 : 0] = '\0';
	return pagescan_error_set(reterr, -EBUSY,
				  "process %d is already traced, by process %d (%s), and only one "
				  "can trace it at a time: end that first",
				  (int)pid, (int)tracer, name);
}

static int explain_denied(struct pagescan_process *process, struct pagescan_error *reterr)
{
	pid_t tracer = pagescan_attach_get_tracer(process);
	unsigned long long scope = 0;

	if (tracer)
		return explain_traced(process->pid, tracer, reterr);
	(void)pagescan_lines_find_number(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", "", 10,
					 &scope);
	if (scope)
		return pagescan_error_set(
			reterr, -EPERM,
			"attaching to process %d needs ptrace, which this system keeps "
			"to a process's parents (kernel.yama.ptrace_scope is %llu): run "
			"as root, or start the program from here",
			(int)process->pid, scope);
	return pagescan_error_set(reterr, -EPERM,
				  "attaching to process %d needs ptrace, which is not permitted: "
				  "run as root (CAP_SYS_PTRACE), outside of a sandbox",
				  (int)process->pid);
}

static int explain_stop(const struct pagescan_process *process,
			const struct pagescan_attach_job *job, struct pagescan_error *reterr)
{
	return pagescan_error_set(reterr, -ETIMEDOUT,
				  "no thread of process %d could be stopped within %u ms: all wait "
				  "in the kernel (for a disk, for a vfork child, or frozen); try "
				  "again, or allow more time",
				  (int)process->pid, (unsigned)(job->timeout_ns / 1000000u));
}

static int explain_filter(const struct pagescan_process *process, struct pagescan_error *reterr)
{
	return pagescan_error_set(reterr, -EPERM,
				  "process %d is under a seccomp filter, which may kill it for the "
				  "calls that attaching makes there; to suspend the filter, run as "
				  "root, outside of a sandbox",
				  (int)process->pid);
}

static int explain_thread(const struct pagescan_process *process, struct pagescan_error *reterr)
{
	return pagescan_error_set(reterr, -EAGAIN,
				  "attaching gives process %d one more thread for a moment, which "
				  "its limits do not let it have: raise ulimit -u, or pids.max of "
				  "its cgroup",
				  (int)process->pid);
}

int pagescan_explain_attach(struct pagescan_process *process, const struct pagescan_attach_job *job,
			    int r, struct pagescan_error *reterr)
{
	if (r == -EPERM && job->step == PAGESCAN_ATTACH_SECCOMP)
		return explain_filter(process, reterr);
	if (r == -EAGAIN && job->step == PAGESCAN_ATTACH_THREAD)
		return explain_thread(process, reterr);
	if (r == -EMFILE || r == -ENFILE ||
	    (job->step == PAGESCAN_ATTACH_CALL && r != -ESRCH && r != -ETIMEDOUT))
		return pagescan_explain_call(r, reterr);
	switch (r) {
	case -EPERM:
	case -EACCES:
	case -EBUSY:
		return explain_denied(process, reterr);
	case -ETIMEDOUT:
		return explain_stop(process, job, reterr);
	case -ENOEXEC:
		return pagescan_error_set(reterr, r,
					  "process %d is a 32-bit program: attaching works with "
					  "64-bit ones only",
					  (int)process->pid);
	case -ESRCH:
		return pagescan_error_set(reterr, r,
					  "process %d ended, or began another program, while being "
					  "attached to",
					  (int)process->pid);
	case -EINTR:
		return pagescan_error_set(reterr, r,
					  "attaching to process %d was cut short: somebody killed "
					  "the helper (attach-helper) that traces it",
					  (int)process->pid);
	default:
		return pagescan_error_set(reterr, r, "cannot attach to process %d: %s",
					  (int)process->pid, strerror(-r));
	}
}
