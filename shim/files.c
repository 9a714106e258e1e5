/* SPDX-License-Identifier: MIT */
#include "files.h"

#include "scan.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The shim's own descriptors begin here, if the limit allows. */
#define FIRST_OWN 900

struct pagescan_shim_uffd pagescan_shim_uffds[PAGESCAN_SHIM_N_UFFDS];
unsigned char pagescan_shim_fds[PAGESCAN_SHIM_N_FDS];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner;          /* whose memory this is: under the lock */
static bool *is_same_memory; /* false in a child that has a copy of the memory */

struct pagescan_shim_uffd *pagescan_shim_find_uffd(int fd)
{
	unsigned char kind = pagescan_shim_kind(fd);

	if (kind == PAGESCAN_SHIM_FOREIGN || kind == PAGESCAN_SHIM_OWN)
		return NULL;
	return &pagescan_shim_uffds[kind - 1];
}

static void set_kind(int fd, unsigned char kind)
{
	__atomic_store_n(&pagescan_shim_fds[fd], kind, __ATOMIC_RELAXED);
}

/* The last descriptor of it was closed. A child may still have copies: unregister first. */
static void release(struct pagescan_shim_uffd *uffd)
{
	const struct pagescan_range *range;
	uint64_t at = 0;

	while (uffd->is_emulated && !uffd->is_inherited &&
	       (range = pagescan_rangeset_find(&uffd->registered, at))) {
		struct uapi_uffdio_range request = {range->start, range->end - range->start};

		at = range->end;
		(void)ioctl(uffd->work_fd, UAPI_UFFDIO_UNREGISTER, &request);
	}
	pagescan_rangeset_free(&uffd->registered);
	if (uffd->is_emulated)
		pagescan_fault_handler_close(&uffd->handler);
	else if (uffd->work_fd >= 0)
		close(uffd->work_fd);
	*uffd = (struct pagescan_shim_uffd){0};
}

void pagescan_shim_note(int fd, unsigned char kind)
{
	struct pagescan_shim_uffd *before = pagescan_shim_find_uffd(fd);

	if ((unsigned)fd >= PAGESCAN_SHIM_N_FDS)
		return;
	set_kind(fd, kind);
	if (kind != PAGESCAN_SHIM_FOREIGN)
		pagescan_shim_uffds[kind - 1].n_fds++;
	if (before && --before->n_fds == 0)
		release(before);
}

struct pagescan_shim_uffd *pagescan_shim_add_uffd(int fd)
{
	if ((unsigned)fd >= PAGESCAN_SHIM_N_FDS)
		return NULL;
	for (unsigned i = 0; i < PAGESCAN_SHIM_N_UFFDS; i++) {
		struct pagescan_shim_uffd *uffd = &pagescan_shim_uffds[i];

		if (uffd->n_fds)
			continue;
		*uffd = (struct pagescan_shim_uffd){.work_fd = -1, .handler = {.uffd = -1}};
		pagescan_shim_note(fd, (unsigned char)(i + 1));
		return uffd;
	}
	return NULL;
}

int pagescan_shim_make_own(int fd)
{
	struct rlimit limit;
	int moved, first = FIRST_OWN;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FIRST_OWN + 64)
		first = limit.rlim_cur > 64 ? (int)limit.rlim_cur - 64 : 0;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, (long)first);
	if (moved < 0)
		moved = fd;
	else
		close(fd);
	if (moved < PAGESCAN_SHIM_N_FDS)
		set_kind(moved, PAGESCAN_SHIM_OWN);
	return moved;
}

void pagescan_shim_forget_own(int fd)
{
	if (pagescan_shim_kind(fd) == PAGESCAN_SHIM_OWN)
		set_kind(fd, PAGESCAN_SHIM_FOREIGN);
}

/* In a child made by fork: no thread of ours is in it, and what is open is the parent's. */
static void disown(void)
{
	for (unsigned i = 0; i < PAGESCAN_SHIM_N_UFFDS; i++) {
		struct pagescan_shim_uffd *uffd = &pagescan_shim_uffds[i];

		if (!uffd->n_fds || uffd->is_inherited)
			continue;
		if (uffd->is_emulated) {
			pagescan_shim_forget_own(uffd->handler.uffd);
			pagescan_shim_forget_own(uffd->handler.stop_fd);
			pagescan_fault_handler_disown(&uffd->handler);
			uffd->work_fd = -1;
		}
		pagescan_rangeset_free(&uffd->registered);
		uffd->is_inherited = true;
	}
	pagescan_shim_forget_process();
}

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

static void in_child(void)
{
	if (owner) {
		owner = getpid();
		disown();
		if (is_same_memory)
			*is_same_memory = true;
	}
	pthread_mutex_unlock(&mutex);
}

/* Under the lock. */
static void begin(void)
{
	owner = getpid();
	is_same_memory = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (is_same_memory == MAP_FAILED ||
	    madvise(is_same_memory, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) < 0)
		is_same_memory = NULL;
	else
		*is_same_memory = true;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

bool pagescan_shim_lock(void)
{
	pthread_mutex_lock(&mutex);
	if (!owner)
		begin();
	if (owner == getpid())
		return true;
	/* A child by the bare system call has its own memory, and nobody told us. */
	if (is_same_memory && !*is_same_memory) {
		in_child();
		pthread_mutex_lock(&mutex);
		return true;
	}
	pthread_mutex_unlock(&mutex);
	return false;
}

void pagescan_shim_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}
