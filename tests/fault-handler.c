/* SPDX-License-Identifier: MIT */
/* Synchronous write-protection, served by a thread, looks as the asynchronous kind does. */
#include "process/fault-handler.h"

#include "support.h"
#include "uffd.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define N_PAGES 64

struct armed {
	struct pagescan_fault_handler handler;
	size_t page;
	char *memory;
	int pagemap_fd;
};

static int protect(struct armed *a)
{
	struct uapi_uffdio_writeprotect request = {
		{(uintptr_t)a->memory, N_PAGES * a->page},
		UAPI_UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return ioctl(a->handler.uffd, UAPI_UFFDIO_WRITEPROTECT, &request);
}

static void open_or_skip(struct armed *a)
{
	struct uapi_uffdio_register request = {.mode = UAPI_UFFDIO_REGISTER_MODE_WP};
	int r = pagescan_fault_handler_open(&a->handler);

	if (r == -EPERM || r == -ENOSYS || r == -EOPNOTSUPP)
		skip_because("userfaultfd is denied or cannot write-protect here");
	assert_int_equal(r, 0);
	a->page = (size_t)sysconf(_SC_PAGESIZE);
	a->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_true(a->pagemap_fd >= 0);
	a->memory = mmap(NULL, N_PAGES * a->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(a->memory != MAP_FAILED);
	(void)madvise(a->memory, N_PAGES * a->page, MADV_NOHUGEPAGE);
	memset(a->memory, 1, N_PAGES * a->page);
	request.range = (struct uapi_uffdio_range){(uintptr_t)a->memory, N_PAGES * a->page};
	assert_int_equal(ioctl(a->handler.uffd, UAPI_UFFDIO_REGISTER, &request), 0);
	assert_int_equal(protect(a), 0);
}

static bool is_armed(const struct armed *a, unsigned page)
{
	return uffd_is_armed(a->pagemap_fd, (uintptr_t)a->memory + page * a->page);
}

static unsigned count_armed(const struct armed *a)
{
	return (unsigned)(uffd_count_armed(a->pagemap_fd, (uintptr_t)a->memory,
					   (uintptr_t)a->memory + N_PAGES * a->page) /
			  a->page);
}

static void close_all(struct armed *a)
{
	pagescan_fault_handler_close(&a->handler);
	munmap(a->memory, N_PAGES * a->page);
	close(a->pagemap_fd);
}

static void test_exactly_the_page(void **state)
{
	struct armed a;

	open_or_skip(&a);
	assert_int_equal(count_armed(&a), N_PAGES);
	a.memory[7 * a.page + 5] = 2;
	assert_false(is_armed(&a, 7));
	assert_int_equal(count_armed(&a), N_PAGES - 1);
	assert_int_equal(protect(&a), 0);
	assert_int_equal(count_armed(&a), N_PAGES);
	close_all(&a);
}

static void test_kernel_writes(void **state)
{
	struct armed a;
	int ends[2];

	open_or_skip(&a);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	if (a.handler.is_user_mode_only) {
		assert_int_equal(read(ends[0], a.memory, 1), -1);
		assert_int_equal(errno, EFAULT);
	} else {
		assert_int_equal(read(ends[0], a.memory, 1), 1);
		assert_int_equal(a.memory[0], 'x');
		assert_false(is_armed(&a, 0));
	}
	close(ends[0]);
	close(ends[1]);
	close_all(&a);
}

static void *write_all(void *context)
{
	const struct armed *a = context;

	for (unsigned i = 0; i < N_PAGES; i++)
		a->memory[i * a->page]++;
	return NULL;
}

static void test_many_writers(void **state)
{
	struct armed a;
	pthread_t threads[4];

	open_or_skip(&a);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_all, &a), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count_armed(&a), 0);
	close_all(&a);
}

static void test_close_lets_go(void **state)
{
	struct armed a;

	open_or_skip(&a);
	pagescan_fault_handler_close(&a.handler);
	a.memory[0] = 2;
	assert_int_equal(a.handler.uffd, -1);
	close_all(&a);
}

/* The child's memory is not armed, and the parent's is served on when the child is gone. */
static void test_fork(void **state)
{
	struct armed a;
	int status;
	pid_t pid;

	open_or_skip(&a);
	pid = fork();
	if (pid == 0) {
		pagescan_fault_handler_disown(&a.handler);
		a.memory[0] = 2;
		_exit(a.memory[0] == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(count_armed(&a), N_PAGES);
	a.memory[3 * a.page] = 2;
	assert_false(is_armed(&a, 3));
	close_all(&a);
}

static volatile pthread_t signalled;

static void on_signal(int number)
{
	signalled = pthread_self();
}

static void test_signals_go_elsewhere(void **state)
{
	struct armed a;
	sigset_t set, before;

	open_or_skip(&a);
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	/* Nobody takes it while we do not. */
	kill(getpid(), SIGUSR1);
	a.memory[0] = 2;
	assert_true(signalled == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_true(pthread_equal(signalled, pthread_self()));
	signal(SIGUSR1, SIG_DFL);
	close_all(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_the_page),
		cmocka_unit_test(test_kernel_writes),
		cmocka_unit_test(test_many_writers),
		cmocka_unit_test(test_close_lets_go),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_signals_go_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
