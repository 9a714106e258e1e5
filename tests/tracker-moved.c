/* SPDX-License-Identifier: MIT */
/*
 * Memory that mremap() moves to where it joins tracked memory. The kernel takes the
 * registration off all that is joined and leaves its marks (seen on 6.18.44): then a
 * page that is written still looks as if it were not.
 */
#include "child.h"
#include "tracked.h"

#define N_PAGES  10
#define MOVED_TO UINT64_C(0x300000000000)
#define FROM     UINT64_C(0x300010000000)
#define N_TIMES  6

static unsigned char *at(uint64_t page)
{
	return (unsigned char *)(uintptr_t)(MOVED_TO + page * page_bytes());
}

static void map_at(uint64_t address, size_t n, int fd, size_t first)
{
	void *p = mmap((void *)(uintptr_t)address, n * page_bytes(), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, (off_t)(first * page_bytes()));

	if (p == MAP_FAILED)
		abort();
	memset(p, 1, n * page_bytes());
}

/* Of one file: the second is what would follow the first. */
static void lay_out(void)
{
	int fd = memfd_create("pagescan-test", MFD_CLOEXEC);

	if (ftruncate(fd, (off_t)((N_PAGES + N_TIMES) * page_bytes())) < 0)
		abort();
	map_at(MOVED_TO, N_PAGES, fd, 0);
	for (size_t i = 0; i < N_TIMES; i++)
		map_at(FROM + 2 * i * page_bytes(), 1, fd, N_PAGES + i);
	close(fd);
}

/* Join one page more, and write two that were there. */
static void move_and_write(uint64_t i)
{
	void *from = (void *)(uintptr_t)(FROM + 2 * i * page_bytes());

	if (mremap(from, page_bytes(), page_bytes(), MREMAP_MAYMOVE | MREMAP_FIXED,
		   at(N_PAGES + i)) == MAP_FAILED)
		abort();
	*at(3) = *at(5 + i % 3) = 7;
}

/* More may be reported, as nobody knows what was written; never less. */
static void expect_no_loss(struct pagescan_tracker *t, uint64_t i)
{
	struct pageset got = pageset_new(at(0), N_PAGES + N_TIMES);
	struct pagescan_region vec[64];
	uint64_t cursor = 0;
	ssize_t n;

	while ((n = pagescan_tracker_collect(t, &cursor, vec, 64, PAGESCAN_COLLECT_REARM)) > 0) {
		for (ssize_t k = 0; k < n; k++)
			(void)pageset_add_region(&got, &vec[k]);
	}
	assert_int_equal(n, 0);
	assert_true(got.has[3] && got.has[5 + i % 3]);
	/* And from here on it is as ever. */
	collect_into(t, &got, 512, PAGESCAN_COLLECT_REARM);
	for (size_t k = 0; k < got.n; k++)
		assert_false(got.has[k]);
	pageset_free(&got);
}

static void test_own(void **state)
{
	struct pagescan_tracker *t = open_own();

	lay_out();
	assert_int_equal(pagescan_tracker_add(t, MOVED_TO, N_PAGES * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_add(t, FROM, 2 * N_TIMES * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (uint64_t i = 0; i < N_TIMES; i++) {
		move_and_write(i);
		expect_no_loss(t, i);
	}
	pagescan_tracker_close(t);
	munmap(at(0), (N_PAGES + N_TIMES) * page_bytes());
	munmap((void *)(uintptr_t)FROM, 2 * N_TIMES * page_bytes());
}

static void live(int fd, void *arg)
{
	lay_out();
	child_say(fd, 'r');
	for (uint64_t i = 0; i < N_TIMES; i++) {
		child_hear(fd);
		move_and_write(i);
		child_say(fd, 'd');
	}
	child_hear(fd);
}

static void test_another(void **state)
{
	struct child child = child_start(live, NULL);
	struct pagescan_process *process;
	struct pagescan_tracker *t;
	struct pagescan_error error = {0};
	int r;

	child_hear(child.fd);
	assert_int_equal(pagescan_process_open(child.pid, &process, NULL), 0);
	r = pagescan_tracker_open(process, NULL, &t, &error);
	if (r < 0) {
		pagescan_process_close(process);
		child_end(&child);
		skip_because("%s", error.text);
	}
	assert_int_equal(pagescan_tracker_add(t, MOVED_TO, (N_PAGES + N_TIMES) * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_add(t, FROM, 2 * N_TIMES * page_bytes()), 0);
	assert_int_equal(pagescan_tracker_arm(t), 0);
	for (uint64_t i = 0; i < N_TIMES; i++) {
		child_say(child.fd, 'm');
		child_hear(child.fd);
		expect_no_loss(t, i);
	}
	pagescan_tracker_close(t);
	pagescan_process_close(process);
	child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
