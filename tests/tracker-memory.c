/* SPDX-License-Identifier: MIT */
/* Own memory of every kind, written in every way: exactly what was written is reported. */
#include "tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define N_PAGES  2048
#define N_ROUNDS 20

static unsigned char junk[64];

static void write_by_read(unsigned char *p)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, p, 10), 10);
	close(fd);
}

static void write_by_vm_writev(unsigned char *p)
{
	struct iovec from = {junk, 7}, to = {p, 7};

	assert_int_equal(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 7);
}

static void write_by_proc_mem(unsigned char *p)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, junk, 3, (off_t)(uintptr_t)p), 3);
	close(fd);
}

static void write_page(unsigned char *p, unsigned way)
{
	switch (way % 16) {
	case 0:
		write_by_read(p + 100);
		break;
	case 1:
		write_by_vm_writev(p);
		break;
	case 2:
		write_by_proc_mem(p + page_bytes() - 3);
		break;
	default:
		/* The same value again is a write too. */
		*(volatile unsigned char *)(p + way % page_bytes()) = 0;
	}
}

/* Rounds of random writes; a write reports @grain pages at once, if the page is still whole. */
static void write_and_collect(unsigned char *p, size_t n, size_t grain)
{
	struct pagescan_tracker *t = open_own();
	struct pageset want = pageset_new(p, n);
	uint64_t random = test_seed();

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, n * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	expect_nothing(t, p, n);
	for (int round = 0; round < N_ROUNDS; round++) {
		size_t n_writes = test_random(&random) % (round % 4 ? 100 : 3000);

		pageset_clear(&want);
		for (size_t i = 0; i < n_writes; i++) {
			size_t page = test_random(&random) % n;

			write_page(p + page * page_bytes(), (unsigned)test_random(&random));
			page -= page % grain;
			pageset_add(&want, page, page + grain);
		}
		expect_written(t, &want);
	}
	pagescan_tracker_close(t);
	pageset_free(&want);
}

/* Written and then given back; what comes there is armed again, populated or not. */
static void give_back(unsigned char *p, size_t n, size_t from, size_t to)
{
	struct pagescan_tracker *t = open_own();
	struct pageset want = pageset_new(p, n);

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, n * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (int round = 0; round < 3; round++) {
		memset(p + from * page_bytes(), 1, (to - from) * page_bytes());
		assert_int_equal(
			madvise(p + from * page_bytes(), (to - from) * page_bytes(), MADV_DONTNEED),
			0);
		pageset_add(&want, from, to);
		expect_written(t, &want);
		expect_nothing(t, p, n);
		(void)*(volatile unsigned char *)(p + from * page_bytes());
		expect_nothing(t, p, n);
	}
	pagescan_tracker_close(t);
	pageset_free(&want);
}

static void test_anonymous(void **state)
{
	unsigned char *p = map_anon(N_PAGES);

	memset(p, 1, N_PAGES / 2 * page_bytes());
	write_and_collect(p, N_PAGES, 1);
	munmap(p, N_PAGES * page_bytes());
}

static void test_shared_anonymous(void **state)
{
	unsigned char *p = mmap(NULL, N_PAGES * page_bytes(), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	memset(p, 1, N_PAGES / 2 * page_bytes());
	write_and_collect(p, N_PAGES, 1);
	munmap(p, N_PAGES * page_bytes());
}

static void write_file(int fd, int map_flags)
{
	unsigned char *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, N_PAGES * page_bytes()), 0);
	for (size_t i = 0; i < N_PAGES / 2; i++)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), i * page_bytes()), sizeof(junk));
	p = mmap(NULL, N_PAGES * page_bytes(), PROT_READ | PROT_WRITE, map_flags, fd, 0);
	assert_true(p != MAP_FAILED);
	for (size_t i = 0; i < N_PAGES; i += 3)
		(void)*(volatile unsigned char *)(p + i * page_bytes());
	write_and_collect(p, N_PAGES, 1);
	give_back(p, N_PAGES, 100, 1500);
	munmap(p, N_PAGES * page_bytes());
	close(fd);
}

static void test_memfd(void **state)
{
	write_file(memfd_create("pagescan-test", MFD_CLOEXEC), MAP_SHARED);
}

static int open_unnamed(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		skip_because("no unnamed files in /var/tmp: %s", strerror(errno));
	return fd;
}

static void test_shared_file(void **state)
{
	write_file(open_unnamed(), MAP_SHARED);
}

static void test_private_file(void **state)
{
	write_file(open_unnamed(), MAP_PRIVATE);
}

static unsigned char *map_aligned(size_t bytes, size_t alignment, int flags, int fd)
{
	unsigned char *p =
		mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t at = ((uintptr_t)p + alignment - 1) & ~(alignment - 1);

	assert_true(p != MAP_FAILED);
	p = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static size_t huge_bytes(void)
{
	return page_bytes() * page_bytes() / 8;
}

/* How many pages of it are mapped huge. */
static size_t count_huge(unsigned char *p, size_t bytes)
{
	struct pagescan_filter filter = {.required = PAGESCAN_IS_HUGE};
	struct pagescan_scan_opts opts = {
		.size = sizeof(opts), .start = (uintptr_t)p, .end = (uintptr_t)p + bytes};
	struct pagescan_process *process;
	struct pagescan_region region;
	struct pagescan_error error = {0};
	struct pagescan_scan *scan;
	size_t n = 0;
	int r;

	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	r = pagescan_scan_new(process, &filter, &opts, &scan, &error);
	if (r == -EOPNOTSUPP) {
		pagescan_process_close(process);
		skip_because("%s", error.text);
	}
	assert_int_equal(r, 0);
	while (pagescan_scan_next(scan, &region, 1) > 0)
		n += (region.end - region.start) / page_bytes();
	pagescan_scan_free(scan);
	pagescan_process_close(process);
	return n;
}

static unsigned char *map_huge(size_t bytes)
{
	unsigned char *p = map_aligned(bytes, huge_bytes(), MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, bytes, MADV_HUGEPAGE);
	memset(p, 1, bytes);
	if (count_huge(p, bytes) != bytes / page_bytes()) {
		munmap(p, bytes);
		skip_because("no huge pages to be had (transparent_hugepage)");
	}
	return p;
}

static void test_transparent_huge_pages(void **state)
{
	unsigned char *p = map_huge(4 * huge_bytes());

	write_and_collect(p, 4 * huge_bytes() / page_bytes(), 1);
	/* Those that tracking split are whole again. */
	assert_int_equal(count_huge(p, 4 * huge_bytes()), 4 * huge_bytes() / page_bytes());
	munmap(p, 4 * huge_bytes());
}

/*
 * Given back as a whole, it leaves no page table behind, in which a kernel could
 * tell that it was: era 1 does not.
 */
static void test_huge_pages_given_back(void **state)
{
	struct pagescan_tracker *t = open_own();
	size_t n_huge = huge_bytes() / page_bytes();
	unsigned char *p = map_huge(8 * huge_bytes());
	struct pageset want = pageset_new(p, 8 * n_huge);

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 8 * huge_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (int round = 0; round < 3; round++) {
		/* One armed, one written, and two of which the second is filled again. */
		madvise(p + huge_bytes(), huge_bytes(), MADV_DONTNEED);
		p[3 * huge_bytes()] = 1;
		madvise(p + 3 * huge_bytes(), huge_bytes(), MADV_DONTNEED);
		madvise(p + 5 * huge_bytes(), 2 * huge_bytes(), MADV_DONTNEED);
		memset(p + 6 * huge_bytes(), 1, huge_bytes());
		pageset_clear(&want);
		pageset_add(&want, n_huge, 2 * n_huge);
		pageset_add(&want, 3 * n_huge, 4 * n_huge);
		pageset_add(&want, 5 * n_huge, 7 * n_huge);
		expect_written(t, &want);
		expect_nothing(t, p, 8 * n_huge);
		p[huge_bytes() + 7 * page_bytes()] = 1;
		pageset_clear(&want);
		want.has[n_huge + 7] = 1;
		expect_written(t, &want);
	}
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 8 * huge_bytes());
}

static void split_some(uint32_t flags, size_t n_left, struct pagescan_tracker_cost *cost)
{
	struct pagescan_tracker_opts opts = {.size = sizeof(opts), .flags = flags};
	size_t bytes = 4 * huge_bytes();
	unsigned char *p = map_huge(bytes);
	struct pagescan_tracker *t;

	assert_int_equal(pagescan_tracker_open(NULL, &opts, &t, NULL), 0);
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, bytes), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	p[0] = p[huge_bytes()] = p[2 * huge_bytes()] = 2;
	/* Given back by its owner: not ours to fill again. */
	madvise(p + 2 * huge_bytes() + page_bytes(), page_bytes(), MADV_DONTNEED);
	assert_int_equal(count_huge(p, bytes), huge_bytes() / page_bytes());
	pagescan_tracker_finish(t);
	pagescan_tracker_get_cost(t, cost);
	assert_int_equal(count_huge(p, bytes), n_left * huge_bytes() / page_bytes());
	pagescan_tracker_close(t);
	munmap(p, bytes);
}

static void test_split_huge_pages_are_put_back(void **state)
{
	struct pagescan_tracker_cost cost;

	pagescan_tracker_close(open_own());
	split_some(0, 3, &cost);
	assert_int_equal(cost.n_huge_split, 2);
	assert_int_equal(cost.n_huge_restored, 2);
	split_some(PAGESCAN_TRACKER_LEAVE_SPLIT, 1, &cost);
	assert_int_equal(cost.n_huge_split, 2);
	assert_int_equal(cost.n_huge_restored, 0);
}

/* A file in a tmpfs with huge pages, which the system's own setting of them does not touch. */
static int open_huge_file(void)
{
	int fd = -1;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip_because("no mount namespace of its own: %s", strerror(errno));
	if (mount("pagescan-test", "/tmp", "tmpfs", 0, "huge=always") == 0) {
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		umount2("/tmp", MNT_DETACH);
	}
	if (fd < 0)
		skip_because("no tmpfs with huge pages");
	return fd;
}

/* A write makes all of a shared huge page written: it is not split (R10.4). */
static void test_shared_huge_pages(void **state)
{
	int fd = open_huge_file();
	size_t bytes = 4 * huge_bytes();
	unsigned char *p;

	assert_int_equal(ftruncate(fd, bytes), 0);
	p = map_aligned(bytes, huge_bytes(), MAP_SHARED, fd);
	close(fd);
	memset(p, 1, bytes);
	if (count_huge(p, bytes) != bytes / page_bytes()) {
		munmap(p, bytes);
		skip_because("no huge pages in shared memory");
	}
	write_and_collect(p, bytes / page_bytes(), huge_bytes() / page_bytes());
	munmap(p, bytes);
}

#define NR_HUGEPAGES "/proc/sys/vm/nr_hugepages"

static long change_nr_hugepages(long by)
{
	FILE *file = fopen(NR_HUGEPAGES, "r+");
	long n = -1;

	if (file && fscanf(file, "%ld", &n) == 1 && by) {
		rewind(file);
		fprintf(file, "%ld", n + by);
	}
	if (file)
		fclose(file);
	return n;
}

static void test_hugetlb(void **state)
{
	size_t bytes = 4 * huge_bytes(), n = bytes / page_bytes(),
	       grain = huge_bytes() / page_bytes();
	long before = change_nr_hugepages(4);
	unsigned char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p != MAP_FAILED) {
		memset(p, 1, bytes);
		write_and_collect(p, n, grain);
		/* What was given back comes out of the pool again. */
		give_back(p, n, grain, 2 * grain);
		munmap(p, bytes);
	}
	change_nr_hugepages(before < 0 ? 0 : before - change_nr_hugepages(0));
	if (p == MAP_FAILED)
		skip_because("no hugetlb pages to be had (vm.nr_hugepages)");
}

/* What replaces a mapping counts as written, whatever kind it is; so does what fills a hole. */
static void test_replaced_mappings(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(100), *q = map_anon(10);
	struct pageset want = pageset_new(p, 100);
	int fd = memfd_create("pagescan-test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 10 * page_bytes()), 0);
	munmap(p + 80 * page_bytes(), 10 * page_bytes());
	memset(p, 1, 50 * page_bytes());
	memset(q, 1, 10 * page_bytes());
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 100 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (int round = 0; round < 3; round++) {
		pageset_clear(&want);
		want.has[0] = want.has[99] = 1;
		p[0] = p[99 * page_bytes()] = 1;
		/* The same kind, another kind, moved here, moved away, filled. */
		mmap(p + 10 * page_bytes(), 10 * page_bytes(), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mmap(p + 25 * page_bytes(), 10 * page_bytes(), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, fd, 0);
		pageset_add(&want, 10, 20);
		pageset_add(&want, 25, 35);
		if (round == 0) {
			mremap(q, 10 * page_bytes(), 10 * page_bytes(),
			       MREMAP_MAYMOVE | MREMAP_FIXED, p + 40 * page_bytes());
			mremap(p + 60 * page_bytes(), 5 * page_bytes(), 5 * page_bytes(),
			       MREMAP_MAYMOVE | MREMAP_FIXED, q);
			pageset_add(&want, 40, 50);
		} else if (round == 1) {
			mmap(p + 82 * page_bytes(), 3 * page_bytes(), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			pageset_add(&want, 82, 85);
		}
		expect_written(t, &want);
		expect_nothing(t, p, 100);
	}
	close(fd);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 100 * page_bytes());
	munmap(q, 5 * page_bytes());
}

/* Given back is written: its contents changed. Changed rights are not. */
static void test_given_back_and_protected(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(64);
	struct pageset want = pageset_new(p, 64);

	memset(p, 1, 64 * page_bytes());
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 64 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	madvise(p + 8 * page_bytes(), 4 * page_bytes(), MADV_DONTNEED);
	mprotect(p + 20 * page_bytes(), 4 * page_bytes(), PROT_READ);
	mprotect(p + 20 * page_bytes(), 4 * page_bytes(), PROT_READ | PROT_WRITE);
	mprotect(p + 30 * page_bytes(), 4 * page_bytes(), PROT_NONE);
	pageset_add(&want, 8, 12);
	expect_written(t, &want);
	mprotect(p + 30 * page_bytes(), 4 * page_bytes(), PROT_READ | PROT_WRITE);
	p[31 * page_bytes()] = 1;
	pageset_clear(&want);
	want.has[31] = 1;
	expect_written(t, &want);
	pagescan_tracker_close(t);
	pageset_free(&want);
	munmap(p, 64 * page_bytes());
}

static void test_without_privilege(void **state)
{
	int status;
	pid_t pid;

	pagescan_tracker_close(open_own());
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		unsigned char *p = map_anon(64);

		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		/* Who changes its user may not look at itself before the next exec. */
		prctl(PR_SET_DUMPABLE, 1);
		write_and_collect(p, 64, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_shared_anonymous),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_shared_file),
		cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_transparent_huge_pages),
		cmocka_unit_test(test_huge_pages_given_back),
		cmocka_unit_test(test_split_huge_pages_are_put_back),
		cmocka_unit_test(test_shared_huge_pages),
		cmocka_unit_test(test_hugetlb),
		cmocka_unit_test(test_replaced_mappings),
		cmocka_unit_test(test_given_back_and_protected),
		cmocka_unit_test(test_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
