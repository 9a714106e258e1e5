/* SPDX-License-Identifier: MIT */
/* What the kernel can do is found, the same in every thread, and nothing is left behind. */
#include "scan/probe.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_THREADS 8

static unsigned count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void *probe(void *arg)
{
	struct pagescan_capabilities *can = arg;

	return pagescan_scan_probe(can) == 0 ? arg : NULL;
}

static void test_threads(void **state)
{
	struct pagescan_capabilities can[N_THREADS];
	pthread_t threads[N_THREADS];
	unsigned n_files = count_files();

	memset(can, 0xff, sizeof(can));
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, probe, &can[i]), 0);
	for (int i = 0; i < N_THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_non_null(result);
		assert_int_equal(can[i].era, can[0].era);
		assert_int_equal(can[i].categories, can[0].categories);
		assert_int_equal(can[i].has_wp_async, can[0].has_wp_async);
	}
	assert_int_equal(count_files(), n_files);
}

/* What the probe says in a child that made its circumstances worse: a result and an answer. */
struct answer {
	int r;
	struct pagescan_capabilities can;
	int r_after; /* once they were better again */
};

static struct answer probe_in_child(void (*worsen)(void), void (*mend)(void))
{
	struct answer answer = {.r = 1};
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		worsen();
		answer.r = pagescan_scan_probe(&answer.can);
		mend();
		answer.r_after = pagescan_scan_probe(&answer.can);
		_exit(write(fds[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &answer, sizeof(answer)), sizeof(answer));
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return answer;
}

static void deny_userfaultfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(77);
}

static void change_file_limit(rlim_t n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = n;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void leave_no_file(void)
{
	change_file_limit(0);
}

static void leave_files(void)
{
	change_file_limit(100);
}

static void lock_memory(void)
{
	mlockall(MCL_CURRENT | MCL_FUTURE);
}

static void do_nothing(void)
{
}

/* Before anything was probed here: it would be remembered in the children. */
static void test_circumstances(void **state)
{
	struct answer plain = probe_in_child(do_nothing, do_nothing);
	struct answer denied = probe_in_child(deny_userfaultfd, do_nothing);
	struct answer short_of_files = probe_in_child(leave_no_file, leave_files);
	struct answer locked = probe_in_child(lock_memory, do_nothing);

	assert_int_equal(plain.r, 0);
	assert_int_equal(denied.r, 0);
	assert_false(denied.can.has_wp_async);
	assert_int_equal(denied.can.era, plain.can.era);
	assert_int_equal(locked.can.era, plain.can.era);
	assert_int_equal(locked.can.has_wp_async, plain.can.has_wp_async);
	/* A passing shortage is not remembered as an answer. */
	assert_int_equal(short_of_files.r, -EMFILE);
	assert_int_equal(short_of_files.r_after, 0);
	assert_int_equal(short_of_files.can.era, plain.can.era);
	assert_int_equal(short_of_files.can.has_wp_async, plain.can.has_wp_async);
}

static void test_answers(void **state)
{
	struct pagescan_probed probed;
	const struct pagescan_capabilities *can = &probed.capabilities;

	assert_int_equal(pagescan_probe(&probed), 0);
	printf("# era %d, categories 0x%llx, wp_async %d, procmap_query %d, memory ends at "
	       "0x%llx\n",
	       (int)can->era, (unsigned long long)can->categories, can->has_wp_async,
	       can->has_procmap_query, (unsigned long long)probed.memory_end);
	if (can->era == PAGESCAN_ERA_NONE)
		skip_because("this kernel has no PAGEMAP_SCAN");
	/* The first release had these. */
	assert_int_equal(can->categories & 0x7f, 0x7f);
	assert_true((uintptr_t)&probed < probed.memory_end);
	assert_int_equal(probed.memory_end % 4096, 0);
}

/* Where somebody knows better than the probe: the lists of check-kernels do. */
static void test_as_told(void **state)
{
	const char *told = getenv("PAGESCAN_EXPECT");
	struct pagescan_capabilities can;
	char text[128];

	if (!told)
		skip_because("PAGESCAN_EXPECT does not say what this kernel can do");
	assert_int_equal(pagescan_scan_probe(&can), 0);
	snprintf(text, sizeof(text), "era %d categories 0x%llx wp_async %d procmap_query %d",
		 (int)can.era, (unsigned long long)can.categories, can.has_wp_async,
		 can.has_procmap_query);
	assert_string_equal(text, told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_circumstances),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_as_told),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
