/* SPDX-License-Identifier: MIT */
#include "target.h"
#include "measure.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MMAP_LENGTH 65536

/* A cache line each, so that one thread's counting does not slow the other. */
struct record {
	_Alignas(64) _Atomic uint64_t longest;
	_Atomic uint64_t n_done;
};

/* Shared between parent and target. */
struct shared {
	struct record records[TARGET_N_WORKS];
	atomic_int is_ready;
};

struct target {
	struct shared *shared;
	char *memory; /* in the target */
	size_t reserved;
	size_t populated;
	size_t page;
	unsigned works;
	pid_t pid;
};

/* Returns when it ended. */
static uint64_t note(struct shared *shared, enum target_work work, uint64_t begin)
{
	struct record *record = &shared->records[work];
	const uint64_t end = bench_now_ns(), took = end - begin;

	if (took > atomic_load_explicit(&record->longest, memory_order_relaxed))
		atomic_store(&record->longest, took);
	atomic_fetch_add(&record->n_done, 1);
	return end;
}

static _Noreturn void work_clock(const struct target *t)
{
	uint64_t last = bench_now_ns();

	/* From look to look, so that no moment is left out. */
	for (;;)
		last = note(t->shared, TARGET_CLOCK, last);
}

static void *work_mmap(void *arg)
{
	const struct target *t = arg;

	for (;;) {
		const uint64_t begin = bench_now_ns();
		char *memory = mmap(NULL, MMAP_LENGTH, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		note(t->shared, TARGET_MMAP, begin);
		if (memory == MAP_FAILED)
			_exit(3);
		memory[0] = 1;
		munmap(memory, MMAP_LENGTH);
	}
	return NULL;
}

static void *work_store(void *arg)
{
	const struct target *t = arg;
	volatile char *memory = t->memory;

	for (;;)
		for (size_t i = 0; i < t->populated; i += t->page) {
			const uint64_t begin = bench_now_ns();

			memory[i]++;
			note(t->shared, TARGET_STORE, begin);
		}
	return NULL;
}

static void *(*const works[TARGET_N_WORKS])(void *) = {
	[TARGET_MMAP] = work_mmap,
	[TARGET_STORE] = work_store,
};

static _Noreturn void run(struct target *t)
{
	pthread_t thread;

	if (t->reserved) {
		t->memory = mmap(NULL, t->reserved, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (t->memory == MAP_FAILED)
			_exit(3);
		madvise(t->memory, t->reserved, MADV_NOHUGEPAGE);
	}
	for (size_t i = 0; i < t->populated; i += t->page)
		t->memory[i] = 1;
	for (int work = 0; work < TARGET_N_WORKS; work++)
		if (t->works & 1U << work && works[work] &&
		    pthread_create(&thread, NULL, works[work], t))
			_exit(3);
	atomic_store(&t->shared->is_ready, 1);
	if (t->works & 1U << TARGET_CLOCK)
		work_clock(t);
	for (;;)
		pause();
}

int target_start(unsigned wanted, size_t reserved, size_t populated, struct target **ret)
{
	struct target *t = calloc(1, sizeof(*t));
	const pid_t parent = getpid();

	if (!t)
		return -ENOMEM;
	t->works = wanted;
	t->reserved = reserved;
	t->populated = populated;
	t->page = sysconf(_SC_PAGESIZE);
	t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	t->pid = t->shared == MAP_FAILED ? -1 : fork();
	if (t->pid < 0) {
		free(t);
		return -ENOMEM;
	}
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(3);
		run(t);
	}
	while (!atomic_load(&t->shared->is_ready)) {
		if (waitpid(t->pid, NULL, WNOHANG) != 0) {
			t->pid = -1;
			target_stop(t);
			return -ECHILD;
		}
		usleep(1000);
	}
	*ret = t;
	return 0;
}

void target_stop(struct target *t)
{
	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	munmap(t->shared, sizeof(*t->shared));
	free(t);
}

pid_t target_get_pid(const struct target *t)
{
	return t->pid;
}

void target_reset(struct target *t)
{
	for (int work = 0; work < TARGET_N_WORKS; work++)
		atomic_store(&t->shared->records[work].longest, 0);
}

uint64_t target_get_longest(struct target *t, enum target_work work)
{
	const uint64_t before = atomic_load(&t->shared->records[work].n_done);

	/* What waits at this moment counts too, so it must have come to its end. */
	while (t->works & 1U << work && atomic_load(&t->shared->records[work].n_done) < before + 2)
		sched_yield();
	return atomic_load(&t->shared->records[work].longest);
}
