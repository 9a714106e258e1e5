/* SPDX-License-Identifier: MIT */
#include "process/tracee.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Of the kernel, younger than some C library's headers. */
#define GET_RSEQ_CONFIGURATION 0x420f
#define SET_DISPATCH_CONFIG    0x4210
#define GET_DISPATCH_CONFIG    0x4211

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)

/* A stop at a system call, told from the signal by PTRACE_O_TRACESYSGOOD. */
#define STOP_SYSCALL (SIGTRAP | 0x80)

/* How often to look for a stop before sleeping for it: some 20 microseconds. */
#define N_LOOKS 80

#define ALL_SIGNALS  UINT64_MAX
#define SIGSET_BYTES 8

static long raw(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return pagescan_raw_syscall(number, a, b, c, d, 0, 0);
}

static int trace(int request, pid_t tid, uint64_t addr, uint64_t data)
{
	return (int)raw(SYS_ptrace, (uint64_t)request, (uint64_t)tid, addr, data);
}

uint64_t pagescan_raw_now_ns(void)
{
	struct timespec now;

	raw(SYS_clock_gettime, CLOCK_MONOTONIC, (uint64_t)&now, 0, 0);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The next news of a thread, if there are any: 1, 0, or -ESRCH (it is not there any more). */
static int look(pid_t tid, int *ret_status)
{
	long r = raw(SYS_wait4, (uint64_t)tid, (uint64_t)ret_status, __WALL | WNOHANG, 0);

	if (r < 0 && r != -EINTR)
		return -ESRCH;
	return r == tid;
}

/*
 * A process that was killed has not ended for those who wait for it while a thread
 * of it is traced, dead, and not taken note of: do so, if it is not @tid itself.
 */
static bool reap_other(pid_t tid)
{
	siginfo_t info = {.si_pid = 0};

	/* Only looking: the news may be a stop, which somebody still waits for. */
	raw(SYS_waitid, P_ALL, 0, (uint64_t)&info, WEXITED | WNOHANG | WNOWAIT | __WALL);
	if (info.si_pid == 0 || info.si_pid == tid || info.si_code == CLD_TRAPPED ||
	    info.si_code == CLD_STOPPED)
		return false;
	return raw(SYS_wait4, (uint64_t)info.si_pid, 0, __WALL | WNOHANG, 0) == info.si_pid;
}

/* Wait until the thread stops or ends. 0, -ETIMEDOUT or -ESRCH. */
static int wait_for(pid_t tid, uint64_t deadline, int *ret_status)
{
	const uint64_t sigchld = UINT64_C(1) << (SIGCHLD - 1);

	for (int n_looks = 0;; n_looks++) {
		struct timespec left, *timeout = NULL;
		int r = look(tid, ret_status);

		if (r != 0)
			return r < 0 ? r : 0;
		/* The next stop is microseconds away; to sleep and be woken takes as long again. */
		if (n_looks < N_LOOKS || reap_other(tid))
			continue;
		if (deadline != PAGESCAN_FOREVER) {
			uint64_t now = pagescan_raw_now_ns();

			if (now >= deadline)
				return -ETIMEDOUT;
			left.tv_sec = (time_t)((deadline - now) / 1000000000u);
			left.tv_nsec = (long)((deadline - now) % 1000000000u);
			timeout = &left;
		}
		/* It is blocked, so that it waits for us if it came before. */
		raw(SYS_rt_sigtimedwait, (uint64_t)&sigchld, 0, (uint64_t)timeout, SIGSET_BYTES);
	}
}

static bool has_ended(int status)
{
	return WIFEXITED(status) || WIFSIGNALED(status);
}

static bool is_settled(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* The signal that the thread was about to be given, or 0: the stop was for us. */
static int stopped_signal(int status)
{
	return status >> 16 || WSTOPSIG(status) == STOP_SYSCALL ? 0 : WSTOPSIG(status);
}

static int wait_settled(struct pagescan_tracee *tracee, uint64_t deadline)
{
	int status, r;

	for (;;) {
		r = wait_for(tracee->tid, deadline, &status);
		if (r < 0)
			return r;
		if (has_ended(status))
			return -ESRCH;
		if (is_settled(status))
			break;
		/* Any other stop takes the wish for this one with it: say it again. */
		trace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
		trace(PTRACE_CONT, tracee->tid, 0, (uint64_t)stopped_signal(status));
	}
	tracee->is_stopped = true;
	return 0;
}

int pagescan_tracee_adopt(struct pagescan_tracee *tracee, uint64_t instruction)
{
	int r;

	tracee->is_changed = false;
	tracee->instruction = instruction;
	r = wait_settled(tracee, PAGESCAN_FOREVER);
	return r < 0 ? r : pagescan_registers_get(tracee->tid, &tracee->saved);
}

int pagescan_tracee_seize(struct pagescan_tracee *tracee, uint64_t options)
{
	int r = trace(PTRACE_SEIZE, tracee->tid, 0, OPTIONS | options);

	tracee->is_traced = r == 0;
	tracee->is_stopped = tracee->is_changed = false;
	tracee->stopped_ns = 0;
	return r;
}

int pagescan_tracee_stop(struct pagescan_tracee *tracee, uint64_t deadline)
{
	int r = pagescan_tracee_seize(tracee, 0);

	if (r < 0)
		return r;
	trace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
	r = wait_settled(tracee, deadline);
	tracee->since_ns = pagescan_raw_now_ns();
	return r;
}

int pagescan_tracee_await_exec(struct pagescan_tracee *tracee)
{
	int status, r;

	for (;;) {
		r = wait_for(tracee->tid, PAGESCAN_FOREVER, &status);
		if (r < 0 || has_ended(status))
			return -ESRCH;
		if (status >> 16 == PTRACE_EVENT_EXEC)
			return 0;
		/* Stopped by somebody's SIGSTOP, it shall stay so until a SIGCONT. */
		if (is_settled(status) && WSTOPSIG(status) != SIGTRAP)
			trace(PTRACE_LISTEN, tracee->tid, 0, 0);
		else
			trace(PTRACE_CONT, tracee->tid, 0, (uint64_t)stopped_signal(status));
	}
}

int pagescan_tracee_settle(struct pagescan_tracee *tracee, uint64_t deadline)
{
	if (tracee->is_stopped)
		return 0;
	trace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
	trace(PTRACE_CONT, tracee->tid, 0, 0);
	return wait_settled(tracee, deadline);
}

int pagescan_tracee_set_options(struct pagescan_tracee *tracee, uint64_t options)
{
	return trace(PTRACE_SETOPTIONS, tracee->tid, 0, OPTIONS | options);
}

static int peek(pid_t tid, uint64_t address, uint64_t *ret)
{
	return trace(PTRACE_PEEKDATA, tid, address, (uint64_t)ret);
}

/*
 * In the middle of a restartable sequence, go on where the kernel sends a thread
 * that lost its processor there: while it runs somewhere else for us, the kernel
 * forgets that it was in one.
 */
static void abort_sequence(struct pagescan_tracee *tracee)
{
	struct {
		uint64_t address;
		uint32_t size, signature, flags, pad;
	} config;
	uint64_t descriptor, start, length, abort_ip;
	uint64_t ip = pagescan_registers_get_ip(&tracee->saved);

	if (trace(GET_RSEQ_CONFIGURATION, tracee->tid, sizeof(config), (uint64_t)&config) < 0 ||
	    config.address == 0)
		return;
	/* struct rseq: the descriptor's address is its second word; the kernel's ABI. */
	if (peek(tracee->tid, config.address + 8, &descriptor) < 0 || descriptor == 0)
		return;
	if (peek(tracee->tid, descriptor + 8, &start) < 0 ||
	    peek(tracee->tid, descriptor + 16, &length) < 0 ||
	    peek(tracee->tid, descriptor + 24, &abort_ip) < 0)
		return;
	if (ip - start < length)
		pagescan_registers_set_ip(&tracee->saved, abort_ip);
}

static int find_instruction(struct pagescan_tracee *tracee, uint64_t instruction)
{
	uint64_t interrupted = pagescan_registers_get_interrupted(&tracee->saved), code;

	tracee->instruction = interrupted ? interrupted : instruction;
	if (peek(tracee->tid, tracee->instruction, &code) == 0 &&
	    pagescan_code_is_syscall(&code, sizeof(code)))
		return 0;
	/* A 32-bit call in a 64-bit program. */
	return interrupted ? -ENOEXEC : -EAGAIN;
}

int pagescan_tracee_borrow(struct pagescan_tracee *tracee, uint64_t instruction)
{
	const uint64_t all = ALL_SIGNALS;
	int r = pagescan_registers_get(tracee->tid, &tracee->saved);

	if (r < 0)
		return r;
	tracee->is_changed = true;
	tracee->saved_dispatch.mode = 0;
	/* This is the mask to go back to, also if the call waits with another one. */
	r = trace(PTRACE_GETSIGMASK, tracee->tid, SIGSET_BYTES, (uint64_t)&tracee->saved_sigmask);
	if (r < 0)
		return r;
	pagescan_registers_excuse(&tracee->saved);
	if (!pagescan_registers_get_interrupted(&tracee->saved))
		abort_sequence(tracee);
	r = find_instruction(tracee, instruction);
	if (r < 0)
		return r;
	/* Linux 6.4: calls may be sent to a handler; ours would be, too. */
	trace(GET_DISPATCH_CONFIG, tracee->tid, sizeof(tracee->saved_dispatch),
	      (uint64_t)&tracee->saved_dispatch);
	if (tracee->saved_dispatch.mode) {
		const uint64_t off[4] = {0};

		trace(SET_DISPATCH_CONFIG, tracee->tid, sizeof(off), (uint64_t)off);
	}
	return trace(PTRACE_SETSIGMASK, tracee->tid, SIGSET_BYTES, (uint64_t)&all);
}

/* Where a call is on its way. */
enum call_state { CALL_BEFORE, CALL_INSIDE, CALL_DONE };

/* Take note of a stop; @ret_signal is to be given to the thread when it goes on. */
static int call_step(struct pagescan_tracee *tracee, int status, enum call_state *state,
		     int *ret_signal, pid_t *ret_child)
{
	struct pagescan_registers registers;
	uint64_t child;

	*ret_signal = 0;
	tracee->is_stopped = is_settled(status);
	if (status >> 16 == PTRACE_EVENT_CLONE && ret_child) {
		int r = trace(PTRACE_GETEVENTMSG, tracee->tid, 0, (uint64_t)&child);

		*ret_child = (pid_t)child;
		*state = CALL_DONE;
		return r;
	}
	if (status >> 16 || WSTOPSIG(status) != STOP_SYSCALL) {
		/* All signals are blocked, but SIGSTOP cannot be: it stops the process as it
		 * should.
		 */
		*ret_signal = stopped_signal(status);
		return 0;
	}
	if (*state == CALL_BEFORE) {
		*state = CALL_INSIDE;
		return 0;
	}
	if (pagescan_registers_get(tracee->tid, &registers) < 0)
		return -ESRCH;
	*state = pagescan_registers_is_restart(&registers) ? CALL_BEFORE : CALL_DONE;
	return 0;
}

/* Wait for the next stop. What cannot run by the deadline is called back. */
static int call_wait(struct pagescan_tracee *tracee, uint64_t deadline, int *status, bool *is_late)
{
	int r = wait_for(tracee->tid, deadline, status);

	if (r == -ETIMEDOUT) {
		*is_late = true;
		trace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
		r = wait_for(tracee->tid, PAGESCAN_FOREVER, status);
	}
	return r == 0 && has_ended(*status) ? -ESRCH : r;
}

int pagescan_tracee_call(struct pagescan_tracee *tracee, uint64_t deadline, long number,
			 const uint64_t args[4], long *ret_result, pid_t *ret_child)
{
	struct pagescan_registers registers = tracee->saved;
	enum call_state state = CALL_BEFORE;
	bool is_late = false;
	int status, sig = 0, r;

	pagescan_registers_prepare(&registers, tracee->instruction, number, args);
	r = pagescan_registers_set(tracee->tid, &registers);
	while (r == 0) {
		tracee->is_stopped = false;
		trace(PTRACE_SYSCALL, tracee->tid, 0, (uint64_t)sig);
		r = call_wait(tracee, state == CALL_BEFORE ? deadline : PAGESCAN_FOREVER, &status,
			      &is_late);
		if (r == 0)
			r = call_step(tracee, status, &state, &sig, ret_child);
		if (r == 0 && state == CALL_DONE)
			break;
		if (r == 0 && state == CALL_BEFORE && is_late && tracee->is_stopped)
			r = -ETIMEDOUT;
	}
	if (r == 0)
		r = pagescan_registers_get(tracee->tid, &registers);
	if (r == 0)
		*ret_result = pagescan_registers_get_result(&registers);
	return r;
}

int pagescan_tracee_end(struct pagescan_tracee *tracee, uint64_t deadline)
{
	struct pagescan_registers registers = tracee->saved;
	const uint64_t args[4] = {0};
	bool is_late = false;
	int status, sig = 0, r;

	pagescan_registers_prepare(&registers, tracee->instruction, SYS_exit, args);
	r = pagescan_registers_set(tracee->tid, &registers);
	while (r == 0) {
		trace(PTRACE_CONT, tracee->tid, 0, (uint64_t)sig);
		r = call_wait(tracee, deadline, &status, &is_late);
		if (r < 0)
			return 0;
		/* It cannot run now (a frozen cgroup): it ends by itself as soon as it can. */
		if (is_late && is_settled(status))
			return trace(PTRACE_DETACH, tracee->tid, 0, 0);
		sig = stopped_signal(status);
	}
	return r;
}

void pagescan_tracee_put_back(struct pagescan_tracee *tracee)
{
	if (!tracee->is_changed || pagescan_tracee_settle(tracee, PAGESCAN_FOREVER) < 0)
		return;
	if (tracee->saved_dispatch.mode)
		trace(SET_DISPATCH_CONFIG, tracee->tid, sizeof(tracee->saved_dispatch),
		      (uint64_t)&tracee->saved_dispatch);
	trace(PTRACE_SETSIGMASK, tracee->tid, SIGSET_BYTES, (uint64_t)&tracee->saved_sigmask);
	pagescan_registers_set(tracee->tid, &tracee->saved);
	tracee->is_changed = false;
}

void pagescan_tracee_release(struct pagescan_tracee *tracee)
{
	if (!tracee->is_traced)
		return;
	pagescan_tracee_put_back(tracee);
	trace(PTRACE_DETACH, tracee->tid, 0, 0);
	tracee->is_traced = false;
	tracee->stopped_ns = pagescan_raw_now_ns() - tracee->since_ns;
}
