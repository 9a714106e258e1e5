/* SPDX-License-Identifier: MIT */
#include "process/attach-plan.h"

#include "process/inject.h"
#include "process/lines.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Threads that are looked at; of thousands, some of the first will do. */
#define MAX_INSPECTED 64

#define CODE_CHUNK 4096

/* How little a stop disturbs a thread, and how soon it comes about. */
enum rank {
	RANK_WAITS,     /* in a call that the kernel resumes as if nothing had been */
	RANK_REPEATS,   /* in a call that is made again: its timeout may start again */
	RANK_RUNS,      /* its own code, or it waits for a processor to do so */
	RANK_TRANSFERS, /* in a call that may end with less done than was asked for */
	RANK_STUCK      /* in a call that no stop interrupts */
};

static enum rank rank_of_call(long number)
{
	switch (number) {
	case SYS_futex:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_restart_syscall:
	case SYS_ppoll:
	case SYS_pselect6:
	case SYS_rt_sigsuspend:
	case SYS_wait4:
	case SYS_waitid:
#ifdef SYS_poll
	case SYS_poll:
	case SYS_select:
	case SYS_pause:
#endif
		return RANK_WAITS;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semtimedop:
	case SYS_accept:
	case SYS_accept4:
	case SYS_read:
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
		return RANK_REPEATS;
	case SYS_clone:
	case SYS_clone3:
	case SYS_execve:
	case SYS_execveat:
#ifdef SYS_vfork
	case SYS_vfork:
#endif
		return RANK_STUCK;
	default:
		return RANK_TRANSFERS;
	}
}

/* Where a thread is, from its file "syscall": a number, "running", or -1 (blocked in no call). */
static enum rank rank_of_thread(int task_fd)
{
	char text[32];
	char *end;
	long number;
	int fd = openat(task_fd, "syscall", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return RANK_TRANSFERS;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return RANK_TRANSFERS;
	text[n] = '\0';
	number = strtol(text, &end, 10);
	return end == text || number < 0 ? RANK_RUNS : rank_of_call(number);
}

struct choice {
	pid_t tid;
	unsigned rank;
};

static int compare_choices(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static int open_thread(struct pagescan_process *process, pid_t tid)
{
	char path[32];

	snprintf(path, sizeof(path), "task/%d", (int)tid);
	return openat(process->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A filter may have to be suspended, which is not always permitted: choose one without. */
static struct choice inspect_thread(struct pagescan_process *process, pid_t tid)
{
	struct choice choice = {tid, RANK_STUCK};
	unsigned long long filter = 0;
	int fd = open_thread(process, tid);

	if (fd < 0)
		return choice;
	(void)pagescan_lines_find_number(fd, "status", "Seccomp:", 10, &filter);
	choice.rank = rank_of_thread(fd) + (filter ? RANK_STUCK + 1 : 0);
	close(fd);
	return choice;
}

static int list_threads(struct pagescan_process *process, struct choice *choices, int *ret_n,
			bool *ret_is_alone)
{
	int fd = openat(process->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int n = 0;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (n < MAX_INSPECTED && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			choices[n++] = inspect_thread(process, (pid_t)atoi(entry->d_name));
	}
	closedir(dir);
	*ret_n = n;
	*ret_is_alone = n == 1;
	return n ? 0 : -ESRCH;
}

static int choose_threads(struct pagescan_process *process, struct pagescan_attach_job *job)
{
	struct choice choices[MAX_INSPECTED];
	int n = 0, r;

	r = list_threads(process, choices, &n, &job->is_alone);
	if (r < 0)
		return r;
	qsort(choices, (size_t)n, sizeof(choices[0]), compare_choices);
	for (int i = 0; i < n && job->n_candidates < PAGESCAN_MAX_CANDIDATES; i++) {
		int fd = open_thread(process, choices[i].tid);
		int status_fd = fd < 0 ? -1 : openat(fd, "status", O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		if (status_fd < 0)
			continue;
		job->tids[job->n_candidates] = choices[i].tid;
		job->status_fds[job->n_candidates++] = status_fd;
	}
	return job->n_candidates ? 0 : -ESRCH;
}

/* Search [start, end) of the process. 1 and the place, 0, or -EPERM: it may not be traced. */
static int search_code(struct pagescan_process *process, uint64_t start, uint64_t end,
		       uint64_t *ret)
{
	uint8_t code[CODE_CHUNK];

	for (uint64_t at = start; at < end; at += CODE_CHUNK) {
		struct iovec ours = {code, sizeof(code)}, theirs = {(void *)at, sizeof(code)};
		ssize_t n = process_vm_readv(process->pid, &ours, 1, &theirs, 1, 0);

		if (n < 0 && (errno == EPERM || errno == ENOSYS))
			return -EPERM;
		for (ssize_t i = 0; i < n; i++) {
			if (pagescan_code_is_syscall(code + i, (size_t)(n - i))) {
				*ret = at + (uint64_t)i;
				return 1;
			}
		}
	}
	return 0;
}

/* Where the kernel says that its own code is mapped. */
static uint64_t find_vdso(struct pagescan_process *process)
{
	uint64_t vector[128];
	ssize_t n = pread(process->auxv_fd, vector, sizeof(vector), 0);

	for (ssize_t i = 0; i + 1 < n / (ssize_t)sizeof(vector[0]); i += 2) {
		if (vector[i] == AT_SYSINFO_EHDR)
			return vector[i + 1];
	}
	return 0;
}

int pagescan_attach_find_instruction(struct pagescan_process *process, uint64_t *ret)
{
	uint64_t vdso = find_vdso(process);
	struct pagescan_mapping mapping = {0};
	int r = vdso ? search_code(process, vdso, vdso + 2 * CODE_CHUNK, ret) : 0;

	while (r == 0) {
		r = pagescan_process_find_mapping(process, mapping.end, &mapping);
		if (r == 0)
			return -ENOEXEC;
		if (r > 0 && !(mapping.flags & PAGESCAN_MAPPING_EXEC))
			r = 0;
		else if (r > 0)
			r = search_code(process, mapping.start, mapping.end, ret);
	}
	return r < 0 ? r : 0;
}

static bool is_32bit(struct pagescan_process *process)
{
	unsigned char ident[EI_NIDENT] = {0};
	int fd = openat(process->proc_fd, "exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, ident, sizeof(ident)) < 0)
		ident[EI_CLASS] = 0;
	close(fd);
	return ident[EI_CLASS] == ELFCLASS32;
}

pid_t pagescan_attach_get_tracer(struct pagescan_process *process)
{
	unsigned long long tracer = 0;

	(void)pagescan_lines_find_number(process->proc_fd, "status", "TracerPid:", 10, &tracer);
	return (pid_t)tracer;
}

/* What can be refused without touching it. */
static int check_process(struct pagescan_process *process)
{
	if (pagescan_process_get_state(process) != PAGESCAN_PROCESS_RUNNING)
		return -ESRCH;
	if (pagescan_attach_get_tracer(process))
		return -EBUSY;
	return is_32bit(process) ? -ENOEXEC : 0;
}

bool pagescan_attach_has_thread_fd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, syscall(SYS_gettid), O_EXCL);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EINVAL;
}

int pagescan_attach_plan(struct pagescan_process *process, struct pagescan_attach_job *job)
{
	int r = check_process(process);

	job->uffd = -1;
	job->has_thread_fd = pagescan_attach_has_thread_fd();
	if (r == 0)
		r = pagescan_attach_find_instruction(process, &job->instruction);
	if (r == 0)
		r = choose_threads(process, job);
	return r;
}

void pagescan_attach_plan_done(struct pagescan_attach_job *job)
{
	for (int i = 0; i < job->n_candidates; i++)
		close(job->status_fds[i]);
	job->n_candidates = 0;
}
