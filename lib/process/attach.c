/* SPDX-License-Identifier: MIT */
#include "process/attach.h"

#include "base/error.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int explain_call(int r, struct pagescan_error *reterr)
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

/* The userfaultfd is taken over, whatever comes of it. */
static int open_registry(struct pagescan_process *process, int uffd, struct pagescan_error *reterr)
{
	int r = pagescan_registry_open(&process->registry, uffd);

	if (r == -EOPNOTSUPP)
		return pagescan_error_set(reterr, r,
					  "tracking writes needs asynchronous write-protection, "
					  "which came with Linux 6.7");
	if (r < 0)
		return pagescan_error_set(reterr, r, "cannot set a userfaultfd up: %s",
					  strerror(-r));
	return 0;
}

static int attach_own(struct pagescan_process *process, struct pagescan_error *reterr)
{
	/* In user mode it needs no privilege, and tracks what the kernel writes, too (R9.7). */
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UAPI_UFFD_USER_MODE_ONLY);

	return uffd < 0 ? explain_call(-errno, reterr) : open_registry(process, uffd, reterr);
}

int pagescan_attach(struct pagescan_process *process, uint32_t stop_timeout_ms,
		    struct pagescan_error *reterr)
{
	if (process->registry.uffd >= 0)
		return 0;
	if (process->is_own)
		return attach_own(process, reterr);
	return pagescan_error_set(reterr, -EOPNOTSUPP,
				  "only the own process can be tracked by this version");
}
