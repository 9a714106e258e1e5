/* SPDX-License-Identifier: MIT */
/* Huge pages through the engine over /proc, against the kernel's operation. */
#include "both-operations.h"
#include "scan-tracked.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#define N_BLOCKS     8
#define LENGTH       (N_BLOCKS * HUGE)
#define N_ROUNDS     2000
#define N_HUGETLB    4
#define HUGETLB_2MIB (21 << 26)
#define POOL         "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

struct subject {
	struct pagescan_process *process;
	enum pagescan_era era;
	uint64_t available;
	uint64_t exact; /* but for HUGE */
	char *at;
};

static struct subject subject_open(void)
{
	struct pagescan_description kernel, engine;
	struct subject s = {.process = tracked_open()};

	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_KERNEL, &kernel, NULL), 0);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &engine, NULL), 0);
	s.era = kernel.era;
	s.available = kernel.categories & ~PAGESCAN_IS_ACCESSED;
	s.exact = (engine.exact | PAGESCAN_IS_WPALLOWED) & s.available;
	return s;
}

static void subject_close(struct subject *s, uint64_t length)
{
	if (s->at)
		munmap(s->at, length);
	tracked_close(s->process);
}

static void look(const struct subject *s, uint64_t length, uint64_t exact, uint64_t *random)
{
	uint64_t start = (uintptr_t)s->at;

	for (unsigned round = 0; round < N_ROUNDS; round++) {
		struct uapi_pm_scan_arg arg =
			both_random_question(random, exact, start, start + length);

		both_compare(s->process, s->era, s->available, &arg);
	}
}

/* All that is HUGE, by one of the operations. */
static size_t count_huge(const struct subject *s, bool by_engine)
{
	static struct both_answer answer;
	size_t n = 0;

	answer.arg = (struct uapi_pm_scan_arg){
		.size = sizeof(answer.arg),
		.start = (uintptr_t)s->at,
		.end = (uintptr_t)s->at + LENGTH,
		.vec_len = BOTH_N_VEC,
		.category_mask = PAGESCAN_IS_HUGE,
		.return_mask = PAGESCAN_IS_HUGE,
	};
	if (by_engine)
		both_ask_engine(s->process, s->era, s->available, &answer);
	else
		both_ask_kernel(s->process, &answer);
	assert_true(answer.r >= 0);
	for (int i = 0; i < answer.r; i++)
		n += (answer.vec[i].end - answer.vec[i].start) / PAGE;
	return n;
}

static void arm(const struct subject *s, uint64_t length)
{
	static struct pagescan_region vec[BOTH_N_VEC];

	assert_true(uffd_scan(s->process->pagemap_fd, (uintptr_t)s->at, (uintptr_t)s->at + length,
			      PAGESCAN_IS_WRITTEN, true, vec, BOTH_N_VEC) >= 0);
}

/* Huge ones, a split one, one that was only read, and one that is not there. */
static void test_anonymous(void **state)
{
	uint64_t random = test_seed();
	struct subject s = subject_open();

	s.at = tracked_map(LENGTH, MAP_PRIVATE | MAP_ANONYMOUS);
	madvise(s.at, LENGTH, MADV_HUGEPAGE);
	memset(s.at, 1, 5 * HUGE);
	/* Without frames, it looks like any other. */
	if (s.exact & PAGESCAN_IS_PFNZERO)
		(void)*(volatile char *)(s.at + 6 * HUGE);
	if (count_huge(&s, false) < 5 * 512) {
		subject_close(&s, LENGTH);
		skip_because("no transparent huge pages to be had");
	}
	look(&s, LENGTH, s.exact | PAGESCAN_IS_HUGE, &random);
	/* What is left of a split one is no candidate any more. */
	madvise(s.at + 2 * HUGE + 5 * PAGE, PAGE, MADV_DONTNEED);
	look(&s, LENGTH, s.exact | PAGESCAN_IS_HUGE, &random);
	tracked_add(s.process, s.at, LENGTH, PAGE, PAGESCAN_MEMORY_ANON);
	arm(&s, LENGTH);
	look(&s, LENGTH, s.exact | PAGESCAN_IS_HUGE, &random);
	/* Split and still all there, it could be huge for all that can be seen. */
	s.at[HUGE] = 2;
	assert_int_equal(count_huge(&s, true) % 512, 0);
	assert_true(count_huge(&s, true) <= count_huge(&s, false));
	look(&s, LENGTH, s.exact & ~PAGESCAN_IS_HUGE, &random);
	subject_close(&s, LENGTH);
}

/* To protect a part of a huge page splits it, and only that part is armed (R7.4). */
static void test_split(void **state)
{
	struct subject s = subject_open();
	struct both_answer *answer = calloc(1, sizeof(*answer));

	s.at = tracked_map(LENGTH, MAP_PRIVATE | MAP_ANONYMOUS);
	madvise(s.at, LENGTH, MADV_HUGEPAGE);
	memset(s.at, 1, LENGTH);
	if (count_huge(&s, false) < LENGTH / PAGE) {
		free(answer);
		subject_close(&s, LENGTH);
		skip_because("no transparent huge pages to be had");
	}
	tracked_add(s.process, s.at, LENGTH, PAGE, PAGESCAN_MEMORY_ANON);
	answer->arg = (struct uapi_pm_scan_arg){
		.size = sizeof(answer->arg),
		.flags = UAPI_PM_SCAN_WP_MATCHING,
		.start = (uintptr_t)s.at + HUGE - 3 * PAGE,
		.end = (uintptr_t)s.at + 3 * HUGE + 7 * PAGE,
		.vec_len = 3,
		.category_mask = PAGESCAN_IS_WRITTEN,
		.return_mask = PAGESCAN_IS_HUGE,
	};
	both_ask_engine(s.process, s.era, s.available, answer);
	assert_int_equal(answer->r, 3);
	assert_int_equal(answer->vec[0].end, (uintptr_t)s.at + HUGE);
	assert_int_equal(answer->vec[0].categories, 0);
	assert_int_equal(answer->vec[1].end, (uintptr_t)s.at + 3 * HUGE);
	assert_int_equal(answer->vec[1].categories, PAGESCAN_IS_HUGE);
	assert_int_equal(answer->vec[2].end, (uintptr_t)s.at + 3 * HUGE + 7 * PAGE);
	assert_int_equal(answer->vec[2].categories, 0);
	assert_int_equal(count_huge(&s, false), LENGTH / PAGE - 2 * 512);
	assert_int_equal(
		uffd_count_armed(s.process->pagemap_fd, (uintptr_t)s.at, (uintptr_t)s.at + LENGTH),
		2 * HUGE + 10 * PAGE);
	free(answer);
	subject_close(&s, LENGTH);
}

/* A file in a tmpfs with huge pages, which the system's own setting of them does not touch. */
static int open_huge_file(void)
{
	int fd = -1;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (mount("pagescan-test", "/tmp", "tmpfs", 0, "huge=always") == 0) {
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		umount2("/tmp", MNT_DETACH);
	}
	return fd;
}

static void test_shared(void **state)
{
	uint64_t random = test_seed();
	struct subject s = subject_open();
	int fd = open_huge_file();

	if (fd >= 0 && ftruncate(fd, LENGTH) == 0) {
		s.at = tracked_map(LENGTH, MAP_SHARED | MAP_ANONYMOUS);
		assert_true(mmap(s.at, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
				 0) == s.at);
		memset(s.at, 1, 5 * HUGE);
	}
	if (!s.at || count_huge(&s, false) < 5 * 512) {
		subject_close(&s, LENGTH);
		skip_because("no huge pages in a tmpfs");
	}
	look(&s, LENGTH, s.exact | PAGESCAN_IS_HUGE, &random);
	tracked_add(s.process, s.at, LENGTH, PAGE, PAGESCAN_MEMORY_SHARED);
	arm(&s, LENGTH);
	s.at[HUGE] = 2;
	look(&s, LENGTH, s.exact | PAGESCAN_IS_HUGE, &random);
	close(fd);
	subject_close(&s, LENGTH);
}

/* By so many more or fewer: others borrow from it too. */
static void change_pool(long by)
{
	FILE *file = fopen(POOL, "r+e");
	long n;

	if (!file)
		return;
	if (fscanf(file, "%ld", &n) == 1) {
		rewind(file);
		fprintf(file, "%ld", n + by);
	}
	fclose(file);
}

static int borrow_pool(void **state)
{
	change_pool(N_HUGETLB);
	return 0;
}

static int give_pool_back(void **state)
{
	change_pool(-N_HUGETLB);
	return 0;
}

static void test_hugetlb(void **state)
{
	uint64_t random = test_seed(), length = N_HUGETLB * HUGE;
	struct subject s = subject_open();

	s.at = tracked_map(length, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | HUGETLB_2MIB);
	if (!s.at) {
		subject_close(&s, length);
		skip_because("no hugetlb pages to be had (vm.nr_hugepages)");
	}
	/* The third has a place and no page. */
	s.at[0] = s.at[HUGE] = s.at[3 * HUGE] = 1;
	look(&s, length, s.exact | PAGESCAN_IS_HUGE, &random);
	tracked_add(s.process, s.at, length, HUGE, PAGESCAN_MEMORY_SHARED);
	look(&s, length, s.exact | PAGESCAN_IS_HUGE, &random);
	arm(&s, HUGE);
	/* A marker. */
	madvise(s.at, HUGE, MADV_DONTNEED);
	arm(&s, length);
	look(&s, length, s.exact | PAGESCAN_IS_HUGE, &random);
	subject_close(&s, length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_split),
		cmocka_unit_test_setup_teardown(test_hugetlb, borrow_pool, give_pool_back),
		/* It leaves the mount namespace: last. */
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests_name("view-procfs-huge", tests, NULL, NULL);
}
