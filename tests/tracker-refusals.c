/* SPDX-License-Identifier: MIT */
/* What a tracker of own memory refuses, and that a refusal changes nothing. */
#include "tracked.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

static void test_wrong_arguments(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(4);
	uint64_t at = (uintptr_t)p, cursor = 0;
	struct pagescan_region region;

	assert_int_equal(pagescan_tracker_add(t, at + 1, page_bytes()), -EINVAL);
	assert_int_equal(pagescan_tracker_add(t, at, page_bytes() + 1), -EINVAL);
	assert_int_equal(pagescan_tracker_add(t, at, 0), -EINVAL);
	assert_int_equal(pagescan_tracker_add(t, at, -page_bytes()), -EINVAL);
	assert_int_equal(pagescan_tracker_add(NULL, at, page_bytes()), -EINVAL);
	assert_int_equal(pagescan_tracker_remove(t, at, 1), -EINVAL);
	assert_int_equal(pagescan_tracker_arm(NULL), -EINVAL);
	assert_int_equal(pagescan_tracker_collect(t, &cursor, &region, 0, 0), -EINVAL);
	assert_int_equal(pagescan_tracker_collect(t, &cursor, NULL, 1, 0), -EINVAL);
	assert_int_equal(pagescan_tracker_collect(t, NULL, &region, 1, 0), -EINVAL);
	assert_int_equal(pagescan_tracker_collect(t, &cursor, &region, 1, 2), -EINVAL);
	assert_int_equal(pagescan_tracker_visit(t, 0, NULL, NULL), -EINVAL);
	assert_int_equal(pagescan_tracker_visit_untracked(t, NULL, NULL), -EINVAL);
	/* Nothing is tracked: that is no error. */
	assert_int_equal(pagescan_tracker_arm(t), 0);
	assert_int_equal(pagescan_tracker_collect(t, &cursor, &region, 1, 0), 0);
	assert_int_equal(pagescan_tracker_remove(t, at, page_bytes()), 0);
	pagescan_tracker_close(t);
	munmap(p, 4 * page_bytes());
}

static void test_wrong_options(void **state)
{
	struct {
		struct pagescan_tracker_opts known;
		uint64_t newer;
	} opts = {.known = {.size = sizeof(opts)}, .newer = 1};
	struct pagescan_process *process;
	struct pagescan_tracker *t, *second;
	struct pagescan_error error;

	pagescan_tracker_close(open_own());
	assert_int_equal(pagescan_tracker_open(NULL, &opts.known, &t, &error), -E2BIG);
	assert_int_equal(error.code, -E2BIG);
	opts.newer = 0;
	opts.known.flags = PAGESCAN_TRACKER_ALL;
	assert_int_equal(pagescan_tracker_open(NULL, &opts.known, &t, &error), -EINVAL);
	opts.known.flags = 0x80;
	assert_int_equal(pagescan_tracker_open(NULL, &opts.known, &t, &error), -EINVAL);

	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	assert_int_equal(pagescan_tracker_open(process, NULL, &t, NULL), 0);
	assert_int_equal(pagescan_tracker_open(process, NULL, &second, &error), -EBUSY);
	pagescan_tracker_close(t);
	/* One after the other is fine. */
	assert_int_equal(pagescan_tracker_open(process, NULL, &t, NULL), 0);
	pagescan_tracker_close(t);
	pagescan_process_close(process);
}

static void test_memory_that_cannot_be_tracked(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(4);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *file = mmap(NULL, page_bytes(), PROT_READ, MAP_SHARED, fd, 0);
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	munmap(p, 4 * page_bytes());
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 4 * page_bytes()), -EINVAL);
	if (vdso)
		assert_int_equal(pagescan_tracker_add(t, vdso, page_bytes()), -EINVAL);
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)file, page_bytes()), -EPERM);
	munmap(file, page_bytes());
	close(fd);
	pagescan_tracker_close(t);
}

/* A userfaultfd that waits for an answer to each write, as another part of the program may have. */
static int other_uffd(void *p, size_t bytes)
{
	struct uapi_uffdio_api api = {.api = UAPI_UFFD_API};
	struct uapi_uffdio_register reg = {.range = {(uintptr_t)p, bytes},
					   .mode = UAPI_UFFDIO_REGISTER_MODE_WP};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, UAPI_UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UAPI_UFFDIO_REGISTER, &reg), 0);
	return fd;
}

static void test_anothers_memory_is_left_alone(void **state)
{
	struct pagescan_tracker *t = open_own(), *other = open_own();
	unsigned char *p = map_anon(64);
	struct pageset want = pageset_new(p, 64);

	memset(p, 1, 64 * page_bytes());
	assert_int_equal(
		pagescan_tracker_add(other, (uintptr_t)p + 32 * page_bytes(), 8 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(other), 0);
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p + 4 * page_bytes(), 4 * page_bytes()),
			 0);

	/* All or nothing, and what had been added before stays. */
	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 64 * page_bytes()), -EBUSY);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	memset(p, 2, 64 * page_bytes());
	pageset_add(&want, 4, 8);
	expect_written(t, &want);
	pageset_clear(&want);
	pageset_add(&want, 32, 40);
	expect_written(other, &want);
	pagescan_tracker_close(t);
	pagescan_tracker_close(other);
	pageset_free(&want);
	munmap(p, 64 * page_bytes());
}

/* A piece that becomes another's is dropped, and that is said once; the rest goes on. */
static void test_replaced_by_anothers(void **state)
{
	struct pagescan_tracker *t = open_own();
	unsigned char *p = map_anon(64);
	struct pageset want = pageset_new(p, 64);
	struct pagescan_region vec[8];
	uint64_t cursor = 0;
	int uffd;

	assert_int_equal(pagescan_tracker_add(t, (uintptr_t)p, 64 * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	p[0] = p[63 * page_bytes()] = 1;
	mmap(p + 10 * page_bytes(), 10 * page_bytes(), PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	uffd = other_uffd(p + 10 * page_bytes(), 10 * page_bytes());
	assert_int_equal(pagescan_tracker_collect(t, &cursor, vec, 8, PAGESCAN_COLLECT_REARM), 2);
	assert_int_equal(vec[0].start, (uintptr_t)p);
	assert_int_equal(vec[1].end, (uintptr_t)p + 64 * page_bytes());
	assert_int_equal(pagescan_tracker_collect(t, &cursor, vec, 8, PAGESCAN_COLLECT_REARM),
			 -EBUSY);
	assert_int_equal(pagescan_tracker_collect(t, &cursor, vec, 8, PAGESCAN_COLLECT_REARM), 0);
	expect_nothing(t, p, 64);
	p[10 * page_bytes()] = p[20 * page_bytes()] = 1;
	want.has[20] = 1;
	expect_written(t, &want);
	pagescan_tracker_close(t);
	close(uffd);
	pageset_free(&want);
	munmap(p, 64 * page_bytes());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_memory_that_cannot_be_tracked),
		cmocka_unit_test(test_anothers_memory_is_left_alone),
		cmocka_unit_test(test_replaced_by_anothers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
