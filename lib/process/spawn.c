/* SPDX-License-Identifier: MIT */
#include "process/spawn.h"

#include "base/error.h"
#include "process/attach-explain.h"
#include "process/attach-plan.h"
#include "process/attach.h"
#include "process/program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child runs on it until its exec. */
#define STACK_SIZE (64 * 1024)

/* In the place of a child that could not be started: nobody's id. */
#define NO_CHILD UINT32_MAX

#define CALL_TIMEOUT_NS UINT64_C(1000000000)

#define SIGSET_BYTES   8
#define EXIT_UNSTARTED 127
#define MAX_SHELL_ARGS 1000

/* How often the child looks for its tracer, a tenth of a second each, before it gives up. */
#define TRACER_PATIENCE 100

/*
 * The caller's handlers would run in the child, which shares its memory: none of
 * them may be left when signals are let in. Exec would reset them all the same.
 */
static void reset_handlers(void)
{
	const struct sigaction by_default = {.sa_handler = SIG_DFL};
	struct sigaction action;

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		if (sigaction(sig, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
		    action.sa_handler != SIG_DFL)
			sigaction(sig, &by_default, NULL);
	}
}

/*
 * What execvp does with a file that no loader knows: hand it to the shell. Where exec
 * takes the stack away, AddressSanitizer would keep its marks on it.
 */
__attribute__((no_sanitize("address"))) static void
exec_by_shell(const struct pagescan_spawn *spawn)
{
	char *argv[MAX_SHELL_ARGS + 1] = {"sh", (char *)spawn->path};
	int n = 1;

	while (spawn->argv[0] && spawn->argv[n] && n + 1 < MAX_SHELL_ARGS) {
		argv[n + 1] = spawn->argv[n];
		n++;
	}
	execv("/bin/sh", argv);
}

/* The child, in the caller's memory, while the caller waits (as vfork has it). */
static int become_program(void *arg)
{
	struct pagescan_spawn *spawn = arg;
	uint32_t state = PAGESCAN_SPAWN_BEGUN;

	/* Where Yama keeps ptrace to parents. Elsewhere an error, which does not matter. */
	prctl(PR_SET_PTRACER, spawn->helper.pid);
	pagescan_spawn_set_word(&spawn->child, (uint32_t)syscall(SYS_gettid));
	for (int i = 0; i < TRACER_PATIENCE && state == PAGESCAN_SPAWN_BEGUN; i++)
		state = pagescan_spawn_wait_word(&spawn->state, PAGESCAN_SPAWN_BEGUN);
	if (state != PAGESCAN_SPAWN_TRACED)
		return EXIT_UNSTARTED;
	reset_handlers();
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &spawn->sigmask, NULL, SIGSET_BYTES);
	execv(spawn->path, spawn->argv);
	if (errno == ENOEXEC)
		exec_by_shell(spawn);
	spawn->exec_error = -errno;
	return EXIT_UNSTARTED;
}

/* Start the child, and wait until it has become the program, or failed to. */
static int start_child(struct pagescan_spawn *spawn)
{
	const uint64_t all = UINT64_MAX;
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	int r = 0;

	if (stack == MAP_FAILED)
		return -ENOMEM;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &spawn->sigmask, SIGSET_BYTES);
	if (clone(become_program, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, spawn) < 0)
		r = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &spawn->sigmask, NULL, SIGSET_BYTES);
	munmap(stack, STACK_SIZE);
	return r;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) <
		       0 ||
	       info.si_pid == pid;
}

/* Wait until the helper has got further than @state. What it got to, even if it was killed. */
static enum pagescan_spawn_state wait_beyond(struct pagescan_spawn *spawn,
					     enum pagescan_spawn_state state)
{
	enum pagescan_spawn_state now = __atomic_load_n(&spawn->state, __ATOMIC_ACQUIRE);

	while (now <= state && !has_ended(spawn->helper.pid))
		now = pagescan_spawn_wait_word(&spawn->state, now);
	return __atomic_load_n(&spawn->state, __ATOMIC_ACQUIRE);
}

static void say(struct pagescan_spawn *spawn)
{
	while (send(spawn->go_fd, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* At the stop at exec: look at what runs there now, and have the helper attach to it. */
static int attach_stopped(struct pagescan_spawn *spawn, struct pagescan_process *process)
{
	struct pagescan_attach_job *job = &spawn->job;
	int r = pagescan_attach_find_instruction(process, &job->instruction);

	if (r < 0)
		return r;
	job->has_thread_fd = pagescan_attach_has_thread_fd();
	job->status_fds[0] = openat(process->proc_fd, "status", O_RDONLY | O_CLOEXEC);
	if (job->status_fds[0] < 0)
		return -errno;
	spawn->fds[2] = process->pidfd;
	say(spawn);
	wait_beyond(spawn, PAGESCAN_SPAWN_EXEC);
	close(job->status_fds[0]);
	return job->result;
}

static int explain_untraced(const struct pagescan_spawn *spawn, struct pagescan_error *reterr)
{
	int r = spawn->job.result;

	if (r == -EPERM || r == -ENOSYS)
		return pagescan_error_set(reterr, -EPERM,
					  "tracking %s from its start needs ptrace, which is not "
					  "permitted here: run outside of the sandbox",
					  spawn->path);
	return pagescan_error_set(reterr, r, "%s was ended while it started: %s", spawn->path,
				  strerror(-r));
}

static int open_started(struct pagescan_spawn *spawn, struct pagescan_process **ret,
			struct pagescan_error *reterr)
{
	pid_t pid = (pid_t)spawn->child;
	struct pagescan_process *process;
	int r;

	if (wait_beyond(spawn, PAGESCAN_SPAWN_TRACED) != PAGESCAN_SPAWN_EXEC)
		return explain_untraced(spawn, reterr);
	r = pagescan_process_open(pid, &process, reterr);
	if (r < 0)
		return r;
	r = attach_stopped(spawn, process);
	if (r < 0)
		pagescan_explain_attach(process, &spawn->job, r, reterr);
	else
		r = pagescan_attach_take(process, spawn->job.uffd, reterr);
	if (r < 0)
		pagescan_process_close(process);
	else
		*ret = process;
	return r;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What is the helper's alone by now, or nobody's. */
static void close_helper_fds(struct pagescan_spawn *spawn)
{
	close_fd(&spawn->fds[0]);
	close_fd(&spawn->fds[1]);
}

static int prepare(struct pagescan_spawn *spawn)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	spawn->fds[0] = pair[0];
	spawn->go_fd = pair[1];
	spawn->fds[1] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return spawn->fds[1] < 0 ? -errno : 0;
}

/* The helper and the child run until they have got on, or one of them failed. */
static int start_both(struct pagescan_spawn *spawn, struct pagescan_error *reterr)
{
	int r = pagescan_helper_start(&spawn->helper, pagescan_spawn_helper, spawn);

	if (r < 0)
		return pagescan_error_set(reterr, r, "cannot start a helper to trace %s: %s",
					  spawn->path, strerror(-r));
	spawn->has_helper = true;
	r = start_child(spawn);
	spawn->has_child = r == 0;
	if (r < 0) {
		/* The helper shall not wait for it. */
		pagescan_spawn_set_word(&spawn->child, NO_CHILD);
	} else if (spawn->exec_error < 0) {
		r = spawn->exec_error;
	}
	return r < 0 ? pagescan_error_set(reterr, r, "cannot start %s: %s", spawn->path,
					  strerror(-r))
		     : 0;
}

static void abandon(struct pagescan_spawn *spawn)
{
	if (spawn->has_child)
		kill((pid_t)spawn->child, SIGKILL);
	close_fd(&spawn->go_fd);
	if (spawn->has_helper)
		pagescan_helper_wait(&spawn->helper);
	while (spawn->has_child && syscall(SYS_wait4, spawn->child, NULL, 0, NULL) < 0 &&
	       errno == EINTR)
		;
	close_helper_fds(spawn);
	free(spawn);
}

int pagescan_process_spawn(char *const argv[], struct pagescan_process **ret,
			   struct pagescan_error *reterr)
{
	struct pagescan_process *process = NULL;
	struct pagescan_spawn *spawn;
	char path[PATH_MAX];
	int r;

	if (!argv || !argv[0] || !ret)
		return pagescan_error_set(reterr, -EINVAL, "no program to start was named");
	r = pagescan_program_find(argv[0], path, reterr);
	if (r < 0)
		return r;
	spawn = calloc(1, sizeof(*spawn));
	if (!spawn)
		return pagescan_error_set(reterr, -ENOMEM, "no memory to start %s", path);
	spawn->path = path;
	spawn->argv = argv;
	spawn->owner = getpid();
	spawn->job.timeout_ns = CALL_TIMEOUT_NS;
	spawn->job.is_alone = true;
	spawn->job.result = -EINTR;
	spawn->go_fd = spawn->fds[0] = spawn->fds[1] = spawn->fds[2] = -1;
	r = prepare(spawn);
	if (r < 0)
		pagescan_error_set(reterr, r, "cannot start %s: %s", path, strerror(-r));
	else
		r = start_both(spawn, reterr);
	if (r == 0)
		r = open_started(spawn, &process, reterr);
	if (r < 0) {
		abandon(spawn);
		return r;
	}
	close_helper_fds(spawn);
	process->spawn = spawn;
	*ret = process;
	return 0;
}

void pagescan_spawn_release(struct pagescan_spawn *spawn)
{
	if (!spawn)
		return;
	/* In a child that fork made, it is not for us to say, and not our helper. */
	if (spawn->owner == getpid()) {
		say(spawn);
		pagescan_helper_wait(&spawn->helper);
	}
	close_fd(&spawn->go_fd);
	free(spawn);
}

int pagescan_process_resume(struct pagescan_process *process)
{
	/* Looked at before: it may end as soon as it runs. */
	enum pagescan_process_state state = pagescan_process_get_state(process);

	pagescan_spawn_release(process->spawn);
	process->spawn = NULL;
	return state == PAGESCAN_PROCESS_EXITED ? -ESRCH : 0;
}
