/* SPDX-License-Identifier: MIT */
#include "process/process.h"

#include "base/error.h"
#include "process/lines.h"
#include "process/mapping.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the kernel's own threads, in the flags of /proc/PID/stat. */
#define PF_KTHREAD 0x00200000ul

/* How often the process may call exec while it is being opened. */
#define MAX_OPEN_TRIES 100

static int say_errno(struct pagescan_error *reterr, int code, pid_t pid, const char *what)
{
	return pagescan_error_set(reterr, code, "cannot %s process %d: %s", what, (int)pid,
				  strerror(-code));
}

static int say_missing(struct pagescan_error *reterr, pid_t pid)
{
	if (access("/proc/self/status", F_OK) < 0)
		return pagescan_error_set(reterr, -ESRCH,
					  "cannot look for process %d: /proc is not mounted",
					  (int)pid);
	return pagescan_error_set(reterr, -ESRCH, "there is no process %d", (int)pid);
}

/* The memory cannot be opened although the process is there: it has none any more. */
static int say_no_memory(struct pagescan_error *reterr, struct pagescan_process *process)
{
	unsigned long long n_threads = 0;

	(void)pagescan_lines_find_number(process->proc_fd, "status", "Threads:", 10, &n_threads);
	if (n_threads > 1)
		return pagescan_error_set(reterr, -ESRCH,
					  "the first thread of process %d has ended while others "
					  "run on; its memory can no longer be reached through it",
					  (int)process->pid);
	return pagescan_error_set(reterr, -ESRCH,
				  "process %d has ended (a zombie): it has no memory left",
				  (int)process->pid);
}

static int say_denied(struct pagescan_error *reterr, struct pagescan_process *process)
{
	unsigned long long uid;

	if (pagescan_lines_find_number(process->proc_fd, "status", "Uid:", 10, &uid) == 0 &&
	    uid != geteuid())
		return pagescan_error_set(
			reterr, -EACCES,
			"process %d belongs to user %llu: run as that user, or as "
			"root (CAP_SYS_PTRACE)",
			(int)process->pid, uid);
	return pagescan_error_set(
		reterr, -EACCES,
		"process %d does not let itself be looked at (it changed its user "
		"or capabilities, or asked not to be dumpable): run as root "
		"(CAP_SYS_PTRACE)",
		(int)process->pid);
}

/* 1, 0, or why one cannot tell: then it is not to be opened. */
static int is_kernel_thread(int proc_fd)
{
	char text[1024], *at, state;
	unsigned long flags;
	int fd = openat(proc_fd, "stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	/* The name may hold anything, parentheses too. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
		return -EBADMSG;
	return (flags & PF_KTHREAD) != 0;
}

/* Whether the memory behind a pagemap is still there: of dead memory, nothing can be read (R11.7).
 */
static bool has_memory(int pagemap_fd)
{
	uint64_t entry;

	return pread(pagemap_fd, &entry, sizeof(entry), 0) > 0;
}

static bool has_exited(const struct pagescan_process *process)
{
	struct pollfd poll_fd = {.fd = process->pidfd, .events = POLLIN};

	return process->pidfd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

/*
 * Whether the process lives in other memory than the one that was opened, although
 * that one is not dead: a process opened between vfork and exec shows its
 * parent's. The auxiliary vector is new at each exec, and both readings see a
 * vector that the process changes itself.
 */
static bool has_moved(const struct pagescan_process *process)
{
	char then[1024], now[1024];
	ssize_t n_then, n_now;
	int fd = openat(process->proc_fd, "auxv", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n_now = pread(fd, now, sizeof(now), 0);
	close(fd);
	n_then = pread(process->auxv_fd, then, sizeof(then), 0);
	return n_now > 0 && n_then > 0 && (n_now != n_then || memcmp(now, then, (size_t)n_now));
}

/*
 * Whether the process has memory at all, as anyone may know. Who lacks privilege is
 * refused at pagemap for that reason too (seen on 6.18.44): no memory, no leave.
 */
static bool shows_memory(const struct pagescan_process *process)
{
	unsigned long long size;

	return pagescan_lines_find_number(process->proc_fd, "status", "VmSize:", 10, &size) == 0;
}

/* Whether a process whose opened memory is dead has new memory: it does not while it exits. */
static bool has_new_memory(const struct pagescan_process *process)
{
	int fd = openat(process->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	bool has;

	/* A program that runs with more rights than we have. */
	if (fd < 0)
		return (errno == EACCES || errno == EPERM) && shows_memory(process);
	has = has_memory(fd);
	close(fd);
	return has;
}

static int open_memory(struct pagescan_process *process)
{
	process->pagemap_fd = openat(process->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (process->pagemap_fd < 0)
		return -errno;
	process->auxv_fd = openat(process->proc_fd, "auxv", O_RDONLY | O_CLOEXEC);
	if (process->auxv_fd < 0)
		return -errno;
	return pagescan_maps_reader_open(process->proc_fd, PAGESCAN_MAPS_AUTO, &process->maps);
}

static void close_memory(struct pagescan_process *process)
{
	pagescan_maps_reader_close(process->maps);
	process->maps = NULL;
	if (process->auxv_fd >= 0)
		close(process->auxv_fd);
	if (process->pagemap_fd >= 0)
		close(process->pagemap_fd);
	process->auxv_fd = process->pagemap_fd = -1;
}

/* Three files, which must be of one and the same memory: exec may come between. */
static int open_one_memory(struct pagescan_process *process, struct pagescan_error *reterr)
{
	int r = -ESRCH;

	for (int i = 0; i < MAX_OPEN_TRIES; i++) {
		r = open_memory(process);
		if (r == 0 && has_memory(process->pagemap_fd) && !has_moved(process))
			return 0;
		close_memory(process);
		if (r < 0 && r != -ESRCH)
			break;
		r = -ESRCH;
		if (has_exited(process))
			break;
	}
	if ((r == -EACCES || r == -EPERM) && shows_memory(process))
		return say_denied(reterr, process);
	if (r == -ESRCH || r == -ENOENT || r == -EACCES || r == -EPERM)
		return say_no_memory(reterr, process);
	return say_errno(reterr, r, process->pid, "look at");
}

/*
 * Process numbers mean one thing to system calls and another to /proc, if that
 * shows another namespace: then two different processes would be mixed up.
 */
static bool has_our_numbers(void)
{
	char self[16];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	return atoi(self) == getpid();
}

/* Which process it is: a thread's is the one that it belongs to. */
static int find_process(struct pagescan_process *process, pid_t pid, struct pagescan_error *reterr)
{
	unsigned long long tgid;
	char path[32];
	int r;

	process->pid = getpid();
	process->is_own = pid == 0 || pid == process->pid;
	if (process->is_own)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	r = pagescan_lines_find_number(AT_FDCWD, path, "Tgid:", 10, &tgid);
	if (r == -ENOENT || r == -ESRCH)
		return say_missing(reterr, pid);
	if (r < 0)
		return say_errno(reterr, r, pid, "find");
	if (!has_our_numbers())
		return pagescan_error_set(
			reterr, -ESRCH,
			"cannot look for process %d: /proc shows the processes of "
			"another pid namespace",
			(int)pid);
	process->is_own = (pid_t)tgid == process->pid;
	process->pid = (pid_t)tgid;
	return 0;
}

/* Its descriptors: all of one process, though the number may be given to another meanwhile. */
static int open_process(struct pagescan_process *process, struct pagescan_error *reterr)
{
	char path[32] = "/proc/self";
	int r;

	if (!process->is_own) {
		process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
		if (process->pidfd < 0 && errno == ESRCH)
			return say_missing(reterr, process->pid);
		if (process->pidfd < 0)
			return say_errno(reterr, -errno, process->pid, "get hold of");
		snprintf(path, sizeof(path), "/proc/%d", (int)process->pid);
	}
	process->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process->proc_fd < 0 && errno == ENOENT)
		return say_missing(reterr, process->pid);
	if (process->proc_fd < 0)
		return say_errno(reterr, -errno, process->pid, "find");
	/* If the first one still runs now, then /proc/PID is its, and no successor's. */
	if (has_exited(process))
		return say_no_memory(reterr, process);
	/* R9.1: older kernels open such a file, and looking at it is not safe there. */
	r = is_kernel_thread(process->proc_fd);
	if (r == -ESRCH || r == -ENOENT)
		return say_missing(reterr, process->pid);
	if (r < 0)
		return say_errno(reterr, r, process->pid, "look at");
	if (r > 0)
		return pagescan_error_set(
			reterr, -EINVAL,
			"process %d is a thread of the kernel: it has no memory of "
			"its own to look at",
			(int)process->pid);
	return 0;
}

int pagescan_process_open(pid_t pid, struct pagescan_process **ret, struct pagescan_error *reterr)
{
	struct pagescan_process *process;
	int r;

	if (!ret || pid < 0)
		return pagescan_error_set(reterr, -EINVAL, "%d is no process id", (int)pid);
	process = malloc(sizeof(*process));
	if (!process)
		return say_errno(reterr, -ENOMEM, pid, "look at");
	*process = (struct pagescan_process){
		.pidfd = -1,
		.proc_fd = -1,
		.pagemap_fd = -1,
		.auxv_fd = -1,
		.registry = {.uffd = -1, .pagemap_fd = -1},
		.procfs = {.kpageflags_fd = -1},
	};
	r = find_process(process, pid, reterr);
	if (r == 0)
		r = open_process(process, reterr);
	if (r == 0)
		r = open_one_memory(process, reterr);
	if (r < 0) {
		pagescan_process_close(process);
		return r;
	}
	process->registry.pagemap_fd = process->pagemap_fd;
	process->registry.maps = process->maps;
	process->registry.is_own = process->is_own;
	*ret = process;
	return 0;
}

void pagescan_process_close(struct pagescan_process *process)
{
	if (!process)
		return;
	pagescan_registry_close(&process->registry);
	pagescan_spawn_release(process->spawn);
	pagescan_procfs_close(&process->procfs);
	close_memory(process);
	if (process->proc_fd >= 0)
		close(process->proc_fd);
	if (process->pidfd >= 0)
		close(process->pidfd);
	free(process);
}

pid_t pagescan_process_get_pid(const struct pagescan_process *process)
{
	return process->pid;
}

enum pagescan_process_state pagescan_process_get_state(struct pagescan_process *process)
{
	if (process->is_own)
		return PAGESCAN_PROCESS_RUNNING;
	if (has_exited(process))
		return PAGESCAN_PROCESS_EXITED;
	if (has_memory(process->pagemap_fd))
		return has_moved(process) ? PAGESCAN_PROCESS_REPLACED : PAGESCAN_PROCESS_RUNNING;
	return has_new_memory(process) ? PAGESCAN_PROCESS_REPLACED : PAGESCAN_PROCESS_EXITED;
}
