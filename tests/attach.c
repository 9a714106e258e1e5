/* SPDX-License-Identifier: MIT */
/* Attaching: to the own process, and to others that are left as they were. */
#include "attached.h"
#include "child.h"

#include <pthread.h>
#include <sys/mman.h>

#define N_THREADS 32

static void test_own(void **state)
{
	struct pagescan_process *process;
	struct pagescan_error error = {0};
	int uffd;

	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	if (pagescan_attach(process, 0, &error) == -EOPNOTSUPP) {
		pagescan_process_close(process);
		skip_because("%s", error.text);
	}
	uffd = process->registry.uffd;
	assert_true(uffd >= 0);
	assert_int_equal(fcntl(uffd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(process->stopped_ns, 0);
	/* Once is enough. */
	assert_int_equal(pagescan_attach(process, 0, &error), 0);
	assert_int_equal(process->registry.uffd, uffd);
	pagescan_registry_close(&process->registry);
	pagescan_process_close(process);
}

static void wait_quietly(int fd, void *arg)
{
	child_say(fd, 'r');
	child_hear(fd);
}

static pthread_barrier_t all_run;

static void *wait_forever(void *arg)
{
	pthread_barrier_wait(&all_run);
	for (;;)
		pause();
	return NULL;
}

static void *run_forever(void *arg)
{
	pthread_barrier_wait(&all_run);
	for (volatile uint64_t n = 0;; n++)
		;
	return NULL;
}

static void start_threads(int fd, void *arg)
{
	void *(*run)(void *) = arg ? wait_forever : run_forever;
	pthread_t thread;

	pthread_barrier_init(&all_run, NULL, N_THREADS);
	for (int i = 1; i < N_THREADS; i++)
		pthread_create(&thread, NULL, run, NULL);
	pthread_barrier_wait(&all_run);
	child_say(fd, 'r');
	child_hear(fd);
}

/* What is taken over acts on the process, and only while it is open. */
static void test_acts_there(void **state)
{
	size_t size = 16 * pagescan_page_size();
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct child child;
	struct pagescan_registration range = {
		.start = (uint64_t)memory,
		.end = (uint64_t)memory + size,
		.page_size = pagescan_page_size(),
	};
	struct pagescan_process *process;
	struct attached_state before;

	attached_skip_if_impossible();
	child = child_start(wait_quietly, NULL);
	child_hear(child.fd);
	before = attached_state(child.pid);
	assert_int_equal(pagescan_process_open(child.pid, &process, NULL), 0);
	assert_int_equal(pagescan_attach(process, 0, NULL), 0);
	assert_int_equal(fcntl(process->registry.uffd, F_GETFD), FD_CLOEXEC);
	assert_true(process->stopped_ns > 0);
	assert_int_equal(pagescan_registry_add(&process->registry, &range), 0);
	/* The same place is free here, and taken there. */
	assert_int_equal(munmap(memory, size), 0);
	assert_int_equal(pagescan_registry_add(&process->registry, &range), 0);
	pagescan_registry_close(&process->registry);
	pagescan_process_close(process);
	attached_assert_same(child.pid, &before);
	attached_state_free(&before);
	child_end(&child);
}

static int compare_times(const void *a, const void *b)
{
	return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

static void attach_often(const char *name, void (*run)(int fd, void *arg), void *arg)
{
	struct attached_state before;
	uint64_t times[200];
	struct child child;

	attached_skip_if_impossible();
	child = child_start(run, arg);
	child_hear(child.fd);
	attached_wait_call(child.pid, SYS_read);
	before = attached_state(child.pid);
	for (int i = 0; i < 200; i++) {
		struct pagescan_error error = {0};

		if (attached_try(child.pid, &error, &times[i]) < 0)
			fail_msg("%s", error.text);
		if (i % 20 == 0)
			attached_assert_same(child.pid, &before);
	}
	attached_assert_same(child.pid, &before);
	qsort(times, 200, sizeof(times[0]), compare_times);
	printf("# %s stands still for %.0f us (median), %.0f us (maximum of 200)\n", name,
	       times[100] / 1e3, times[199] / 1e3);
	attached_state_free(&before);
	child_end(&child);
}

static void test_one_thread(void **state)
{
	attach_often("one thread", wait_quietly, NULL);
}

static void test_many_threads(void **state)
{
	attach_often("one of 32 threads that wait", start_threads, (void *)1);
	attach_often("one of 32 threads that run", start_threads, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_acts_there),
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
