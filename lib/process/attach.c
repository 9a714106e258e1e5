/* SPDX-License-Identifier: MIT */
#include "process/attach.h"

#include "base/error.h"
#include "process/attach-explain.h"
#include "process/attach-plan.h"
#include "process/helper.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On a loaded machine, a thread may wait that long for a processor, just to stop. */
#define DEFAULT_TIMEOUT_MS 1000

/* How often to begin anew with a process whose threads come and go. */
#define MAX_TRIES 20

int pagescan_attach_take(struct pagescan_process *process, int uffd, struct pagescan_error *reterr)
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

	return uffd < 0 ? pagescan_explain_call(-errno, reterr)
			: pagescan_attach_take(process, uffd, reterr);
}

/* One try: plan, and have the helper do it. */
static int try_attach(struct pagescan_process *process, struct pagescan_attach_job *job)
{
	struct pagescan_helper helper;
	int r = pagescan_attach_plan(process, job);

	if (r == 0) {
		/* Should somebody kill the helper, this is what stays. */
		job->result = -EINTR;
		r = pagescan_helper_start(&helper, pagescan_attach_helper, job);
	}
	if (r == 0) {
		pagescan_helper_wait(&helper);
		r = job->result;
	}
	pagescan_attach_plan_done(job);
	return r;
}

/* Whether what was planned has gone in the meantime: the threads, or the code. */
static bool may_try_again(struct pagescan_process *process, const struct pagescan_attach_job *job,
			  int r)
{
	if (r == -ESRCH)
		return pagescan_process_get_state(process) == PAGESCAN_PROCESS_RUNNING;
	return r == -EAGAIN && job->step == PAGESCAN_ATTACH_BORROW;
}

static int attach_other(struct pagescan_process *process, uint32_t stop_timeout_ms,
			struct pagescan_error *reterr)
{
	struct pagescan_attach_job job;
	int r, n_tries = 0;

	do {
		job = (struct pagescan_attach_job){
			.timeout_ns = (stop_timeout_ms ? stop_timeout_ms : DEFAULT_TIMEOUT_MS) *
				      UINT64_C(1000000),
		};
		r = try_attach(process, &job);
	} while (may_try_again(process, &job, r) && ++n_tries < MAX_TRIES);
	process->stopped_ns += job.stopped_ns;
	/* After an exec it is of other memory than the one that was opened. */
	if (r == 0 && pagescan_process_get_state(process) != PAGESCAN_PROCESS_RUNNING) {
		close(job.uffd);
		r = -ESRCH;
	}
	if (r < 0)
		return pagescan_explain_attach(process, &job, r, reterr);
	return pagescan_attach_take(process, job.uffd, reterr);
}

int pagescan_attach(struct pagescan_process *process, uint32_t stop_timeout_ms,
		    struct pagescan_error *reterr)
{
	if (process->registry.uffd >= 0)
		return 0;
	if (process->is_own)
		return attach_own(process, reterr);
	return attach_other(process, stop_timeout_ms, reterr);
}
