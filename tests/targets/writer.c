/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of being watched, and writes what a test's plan says. */
#include "plan.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESERVATION (UINT64_C(256) << 30)

static struct plan *plan;
static pthread_t threads[PLAN_N_THREADS];
static unsigned n_started;
static size_t page_size;
static int files[N_AREAS];

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static int new_file(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0)
		fd = memfd_create("file", 0);
	if (fd < 0 || ftruncate(fd, PLAN_N_PAGES * page_size) < 0)
		die("file");
	return fd;
}

/* How the area is mapped: what a mapping that replaces a part of it has in common with it. */
static void *map(enum plan_area area, void *at, size_t bytes, uint64_t offset)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
	void *p;

	if (area == AREA_SHARED || area == AREA_SHARED_FILE)
		flags = MAP_SHARED;
	if (area == AREA_PRIVATE_FILE)
		flags = MAP_PRIVATE;
	if (area == AREA_CODE)
		prot = PROT_READ | PROT_EXEC;
	if (area == AREA_RESERVATION)
		flags |= MAP_NORESERVE;
	if (!(flags & MAP_ANONYMOUS))
		fd = files[area];
	p = mmap(at, bytes, prot, flags | (at ? MAP_FIXED : 0), fd, offset);
	if (p == MAP_FAILED)
		die("mmap");
	/* Where every mapping is given huge pages, one write would bring 512 pages in. */
	if (area != AREA_HUGE)
		madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static unsigned char *page_at(unsigned area, size_t page)
{
	return (unsigned char *)(uintptr_t)(plan->base[area] + page * plan->stride[area]);
}

static void set_up(enum plan_area area)
{
	size_t bytes = area == AREA_RESERVATION ? RESERVATION : PLAN_N_PAGES * page_size;
	size_t huge = page_size / 8 * page_size;
	unsigned char *p;

	files[area] = new_file();
	if (area == AREA_HUGE) {
		p = map(area, NULL, bytes + huge, 0);
		munmap(p, bytes + huge);
		p = (unsigned char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
		p = map(area, p, bytes, 0);
		madvise(p, bytes, MADV_HUGEPAGE);
		memset(p, 1, bytes);
	} else {
		p = map(area, NULL, bytes, 0);
		/* Nothing may join it: a mapping's neighbours are none of the test's business. */
		(void)mmap(NULL, page_size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	}
	plan->base[area] = (uintptr_t)p;
	plan->n_pages[area] = PLAN_N_PAGES;
	plan->stride[area] = area == AREA_RESERVATION ? RESERVATION / PLAN_N_PAGES : page_size;
}

static void write_as_code(unsigned char *p)
{
	if (mprotect(p, page_size, PROT_READ | PROT_WRITE) < 0)
		die("mprotect");
	p[7]++;
	if (mprotect(p, page_size, PROT_READ | PROT_EXEC) < 0)
		die("mprotect");
}

static void write_by_kernel(unsigned char *p)
{
	int fd = open("/dev/zero", O_RDONLY);

	if (read(fd, p + 99, 100) != 100)
		die("read");
	close(fd);
}

static void write_in_child(const struct plan_op *op)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (size_t i = 0; i < op->n; i++)
			page_at(op->area, op->page + i)[1]++;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
}

static void change(const struct plan_op *op)
{
	unsigned char *p = page_at(op->area, op->page);
	size_t bytes = op->n * page_size;

	if (op->kind == OP_GIVE_BACK && madvise(p, bytes, MADV_DONTNEED) < 0)
		die("madvise");
	if (op->kind == OP_REPLACE)
		map(op->area, p, bytes, op->page * page_size);
	if (op->kind == OP_PROTECT &&
	    (mprotect(p, bytes, PROT_NONE) < 0 || mprotect(p, bytes, PROT_READ | PROT_WRITE) < 0))
		die("mprotect");
	if (op->kind == OP_FORK)
		write_in_child(op);
}

static void perform(const struct plan_op *op)
{
	unsigned char *p = page_at(op->area, op->page);

	if (op->kind == OP_READ)
		(void)*(volatile unsigned char *)p;
	else if (op->kind == OP_WRITE && op->area == AREA_CODE)
		write_as_code(p);
	else if (op->kind == OP_WRITE)
		*(volatile unsigned char *)(p + op->n % page_size) = (unsigned char)op->page;
	else if (op->kind == OP_SYSCALL)
		write_by_kernel(p);
	else
		change(op);
}

static void *run_share(void *arg)
{
	for (size_t i = (size_t)arg; i < plan->n_ops; i += plan->n_threads)
		perform(&plan->ops[i]);
	return NULL;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Every eighth page is left alone. Code, whose rights flicker, is one thread's. */
static void *run_race(void *arg)
{
	uint64_t random = plan->seed + (size_t)arg * 77777 + 1;

	while (!__atomic_load_n(&plan->must_stop, __ATOMIC_RELAXED)) {
		unsigned area = next_random(&random) % N_AREAS;
		size_t page = next_random(&random) % PLAN_N_PAGES;

		if (page % 8 == 0 || (area == AREA_CODE && arg))
			continue;
		if (area == AREA_CODE)
			write_as_code(page_at(area, page));
		else
			__atomic_add_fetch((uint64_t *)page_at(area, page) + (size_t)arg, 1,
					   __ATOMIC_RELAXED);
		__atomic_add_fetch(&plan->n_written, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Memory so large that letting go of it takes its time, grown and shrunk as realloc() does. */
static void *run_growth(void)
{
	size_t bytes = 64 << 20;
	unsigned char *p = map(AREA_ANON, NULL, bytes, 0);

	memset(p, 1, bytes);
	while (!__atomic_load_n(&plan->must_stop, __ATOMIC_RELAXED)) {
		unsigned char *q = mremap(p, bytes, bytes + page_size, MREMAP_MAYMOVE);

		if (q == MAP_FAILED || mremap(q, bytes + page_size, bytes, 0) != q) {
			__atomic_add_fetch(&plan->n_failed, 1, __ATOMIC_RELAXED);
			break;
		}
		p = q;
		usleep(100);
	}
	return NULL;
}

/* Memory that comes and goes, each time with something in it that must stay as it was written. */
static void *run_churn(void *arg)
{
	uint64_t random = plan->seed + (size_t)arg * 99999 + 1;
	unsigned char *fixed;

	if (!arg)
		return run_growth();
	fixed = map(AREA_ANON, NULL, 64 * page_size, 0);
	while (!__atomic_load_n(&plan->must_stop, __ATOMIC_RELAXED)) {
		size_t bytes = (1 + next_random(&random) % 64) * page_size, grown;
		unsigned char *p = map(AREA_ANON, NULL, bytes, 0), *q;

		map(AREA_ANON, fixed, bytes, 0);
		memset(fixed, 3, bytes);
		memset(p, 5, bytes);
		grown = bytes * 2;
		q = mremap(p, bytes, grown, MREMAP_MAYMOVE);
		if (q == MAP_FAILED || q[0] != 5 || q[bytes - 1] != 5 || q[bytes] != 0 ||
		    fixed[bytes - 1] != 3)
			__atomic_add_fetch(&plan->n_failed, 1, __ATOMIC_RELAXED);
		if (q != MAP_FAILED)
			munmap(q, grown);
		__atomic_add_fetch(&plan->n_written, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void join(void)
{
	while (n_started > 0)
		pthread_join(threads[--n_started], NULL);
}

static void start(void *(*run)(void *), unsigned n)
{
	for (; n_started < n; n_started++) {
		if (pthread_create(&threads[n_started], NULL, run, (void *)(uintptr_t)n_started))
			die("pthread_create");
	}
}

static void obey(char command)
{
	if (command == COMMAND_STEP) {
		start(run_share, plan->n_threads);
		join();
	} else if (command == COMMAND_RACE) {
		start(run_race, PLAN_N_THREADS);
	} else if (command == COMMAND_CHURN) {
		start(run_churn, PLAN_N_THREADS);
	} else if (command == COMMAND_JOIN) {
		join();
	} else {
		exit(command == COMMAND_END ? 0 : 3);
	}
}

int main(void)
{
	char command = COMMAND_JOIN;

	page_size = sysconf(_SC_PAGESIZE);
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, PLAN_FD, 0);
	if (plan == MAP_FAILED)
		die("plan");
	for (int area = 0; area < N_AREAS; area++)
		set_up(area);
	do {
		obey(command);
	} while (write(STDOUT_FILENO, &command, 1) == 1 && read(STDIN_FILENO, &command, 1) == 1);
	return 0;
}
