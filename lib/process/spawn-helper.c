/* SPDX-License-Identifier: MIT */
#include "process/spawn.h"

#include "process/tracee.h"

#include <errno.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#define UNSHARE_TABLE 2 /* of close_range() */
#define WAIT          0 /* of futex(): two processes in one memory */
#define WAKE          1

/* How long the caller may take to look at the new program; nothing keeps it from it. */
#define CALLER_PATIENCE_MS 10000

/* How often the child is looked for before it is given up: it was never started. */
#define CHILD_PATIENCE 100

static long raw(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return pagescan_raw_syscall(number, a, b, c, d, 0, 0);
}

uint32_t pagescan_spawn_wait_word(uint32_t *word, uint32_t old)
{
	const struct timespec tenth = {.tv_nsec = 100000000};

	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == old)
		raw(SYS_futex, (uint64_t)word, WAIT, old, (uint64_t)&tenth);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void pagescan_spawn_set_word(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	raw(SYS_futex, (uint64_t)word, WAKE, INT32_MAX, 0);
}

static int wait_for_child(struct pagescan_spawn *spawn, struct pagescan_tracee *tracee)
{
	uint32_t child = 0;

	for (int i = 0; i < CHILD_PATIENCE && child == 0; i++)
		child = pagescan_spawn_wait_word(&spawn->child, 0);
	tracee->tid = (pid_t)child;
	return child ? 0 : -ESRCH;
}

/*
 * Whether the caller said something before anything ended: the caller, the program,
 * or the time. The others of @fds are their pidfds.
 */
static bool hear(const int fds[3], int timeout_ms)
{
	const struct timespec timeout = {.tv_sec = timeout_ms / 1000};
	struct pollfd polls[3];
	char word;

	for (int i = 0; i < 3; i++) {
		polls[i].fd = fds[i];
		polls[i].events = POLLIN;
		polls[i].revents = 0;
	}
	raw(SYS_ppoll, (uint64_t)polls, 3, timeout_ms < 0 ? 0 : (uint64_t)&timeout, 0);
	if (polls[1].revents || polls[2].revents || !polls[0].revents)
		return false;
	return raw(SYS_read, (uint64_t)fds[0], (uint64_t)&word, 1, 0) == 1;
}

/*
 * The caller is to run on, and when it ends, its end of the pipe must be closed: have a
 * table of our own, with nothing but @fds in it.
 */
static void leave_table(const int fds[3])
{
	unsigned from = 0;

	for (;;) {
		unsigned next = UINT32_MAX;

		for (int i = 0; i < 3; i++) {
			if ((unsigned)fds[i] >= from && (unsigned)fds[i] < next)
				next = (unsigned)fds[i];
		}
		if (next > from)
			raw(SYS_close_range, from, next == UINT32_MAX ? next : next - 1,
			    UNSHARE_TABLE, 0);
		if (next == UINT32_MAX)
			return;
		from = next + 1;
	}
}

/* Up to the stop at the new program's first instruction, with the userfaultfd taken. */
static int start(struct pagescan_spawn *spawn, struct pagescan_tracee *tracee)
{
	int r = wait_for_child(spawn, tracee);

	if (r == 0)
		r = pagescan_tracee_seize(tracee, PTRACE_O_TRACEEXEC);
	if (r < 0)
		return r;
	pagescan_spawn_set_word(&spawn->state, PAGESCAN_SPAWN_TRACED);
	r = pagescan_tracee_await_exec(tracee);
	if (r < 0)
		return r;
	/* Still inside of the call: its return would overwrite a register of ours. */
	r = pagescan_tracee_settle(tracee, PAGESCAN_FOREVER);
	if (r < 0)
		return r;
	pagescan_spawn_set_word(&spawn->state, PAGESCAN_SPAWN_EXEC);
	if (!hear(spawn->fds, CALLER_PATIENCE_MS))
		return -ESRCH;
	r = pagescan_attach_through(&spawn->job, tracee, spawn->job.status_fds[0]);
	pagescan_tracee_put_back(tracee);
	return r;
}

int pagescan_spawn_helper(void *arg)
{
	struct pagescan_spawn *spawn = arg;
	struct pagescan_tracee tracee;
	int fds[3], r;

	pagescan_helper_begin();
	tracee.is_traced = false;
	r = start(spawn, &tracee);
	spawn->job.result = r;
	/* Once that is said, the caller runs on, and may forget what we share. */
	for (int i = 0; i < 3; i++)
		fds[i] = spawn->fds[i];
	if (r == 0)
		leave_table(fds);
	else
		fds[2] = -1; /* the caller closes it before it kills the program */
	pagescan_spawn_set_word(&spawn->state, PAGESCAN_SPAWN_DONE);
	/*
	 * Whatever ends the wait ends it for good: the program shall run. Where this
	 * failed, the caller kills it first, and then ends the wait.
	 */
	hear(fds, -1);
	pagescan_tracee_release(&tracee);
	return 0;
}
