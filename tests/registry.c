/* SPDX-License-Identifier: MIT */
/* Registering memory of other processes, and letting go of it without harm. */
#include "process/registry.h"
#include "target.h"

#include <string.h>

#define N_MANY 60000

static int add(struct target *target, uint64_t start, uint64_t end)
{
	struct pagescan_registration r = {
		.start = start,
		.end = end,
		.page_size = target->page,
		.kind = PAGESCAN_MEMORY_ANON,
	};

	return pagescan_registry_add(target->registry, &r);
}

static void arm(struct target *target, uint64_t start, uint64_t end)
{
	static struct pagescan_region vec[4096];

	assert_true(uffd_scan(target->pagemap_fd, start, end,
			      PAGESCAN_IS_PRESENT | PAGESCAN_IS_WRITTEN, true, vec, 4096) >= 0);
}

static uint64_t count_registered(struct target *target, uint64_t start, uint64_t end)
{
	return uffd_count(target->pagemap_fd, start, end, PAGESCAN_IS_WPALLOWED);
}

static int lay_out_64_mib(char told)
{
	if (!told) {
		map_small_pages(BASE, 64 * MIB);
		memset((void *)BASE, 1, 64 * MIB);
	}
	return 0;
}

static void test_add_and_release(void **state)
{
	struct target target;
	struct pagescan_registration found;
	uint64_t end = BASE + 64 * MIB;

	open_or_skip(&target, lay_out_64_mib);
	assert_false(pagescan_registry_find(target.registry, 0, &found));
	assert_int_equal(add(&target, BASE, end), 0);
	assert_int_equal(add(&target, BASE, end), 0);
	assert_true(pagescan_registry_find(target.registry, 0, &found));
	assert_int_equal(found.start, BASE);
	assert_int_equal(found.end, end);
	assert_int_equal(found.page_size, target.page);
	assert_int_equal(found.kind, PAGESCAN_MEMORY_ANON);
	assert_int_equal(count_registered(&target, BASE, end), 64 * MIB);

	/* A part, which is no round number of pieces. */
	arm(&target, BASE, end);
	assert_int_equal(pagescan_registry_release(target.registry, BASE + 5 * target.page,
						   BASE + 40 * MIB + target.page),
			 0);
	assert_int_equal(count_registered(&target, BASE, BASE + 5 * target.page), 5 * target.page);
	assert_int_equal(
		count_registered(&target, BASE + 5 * target.page, BASE + 40 * MIB + target.page),
		0);
	assert_int_equal(count_registered(&target, BASE + 40 * MIB, end), 24 * MIB - target.page);
	assert_true(uffd_is_armed(target.pagemap_fd, BASE + 4 * target.page));
	assert_false(uffd_is_armed(target.pagemap_fd, BASE + 5 * target.page));
	assert_false(uffd_is_armed(target.pagemap_fd, BASE + 40 * MIB));
	assert_true(uffd_is_armed(target.pagemap_fd, BASE + 40 * MIB + target.page));
	assert_true(pagescan_registry_find(target.registry, BASE + 5 * target.page, &found));
	assert_int_equal(found.start, BASE + 40 * MIB + target.page);

	pagescan_registry_close(target.registry);
	assert_int_equal(target.registry->uffd, -1);
	assert_int_equal(count_registered(&target, BASE, end), 0);
	assert_int_equal(uffd_count_armed(target.pagemap_fd, BASE, end), 0);
	assert_false(pagescan_registry_find(target.registry, 0, &found));
	pagescan_registry_close(target.registry);
	assert_true(target.registry->longest_hold_ns > 0);
	target_close(&target);
}

static int lay_out_reservation(char told)
{
	if (!told) {
		map_small_pages(BASE, 256 * GIB);
		memset((void *)(BASE + 100 * GIB + 12345 * 4096), 1, 64 * MIB);
		*(char *)(BASE + 200 * GIB) = 1;
	}
	return 0;
}

static void test_reservation_grows_no_page_tables(void **state)
{
	uint64_t end = BASE + 256 * GIB, populated = BASE + 100 * GIB + 12345 * 4096;
	unsigned long long before;
	struct target target;

	open_or_skip(&target, lay_out_reservation);
	before = read_kib(&target, "status", "VmPTE");
	assert_int_equal(add(&target, BASE, end), 0);
	arm(&target, populated, populated + 64 * MIB);
	arm(&target, BASE + 200 * GIB, BASE + 200 * GIB + target.page);
	assert_int_equal(pagescan_registry_release(target.registry, BASE, end), 0);
	assert_int_equal(read_kib(&target, "status", "VmPTE"), before);
	assert_false(uffd_is_armed(target.pagemap_fd, populated));
	assert_false(uffd_is_armed(target.pagemap_fd, populated + 64 * MIB - target.page));
	assert_false(uffd_is_armed(target.pagemap_fd, BASE + 200 * GIB));
	assert_int_equal(count_registered(&target, populated, populated + GIB), 0);
	assert_int_equal(count_registered(&target, end - GIB, end), 0);
	printf("# longest hold %llu us\n",
	       (unsigned long long)target.registry->longest_hold_ns / 1000);
	target_close(&target);
}

static int lay_out_huge_pages(char told)
{
	if (!told) {
		madvise(map_at(BASE, 128 * MIB, 0), 128 * MIB, MADV_HUGEPAGE);
		memset((void *)BASE, 1, 128 * MIB);
	}
	return 0;
}

static void test_huge_pages_stay(void **state)
{
	uint64_t end = BASE + 128 * MIB;
	unsigned long long before;
	struct target target;

	open_or_skip(&target, lay_out_huge_pages);
	before = read_kib(&target, "smaps", "AnonHugePages");
	if (before < 64 * 1024) {
		target_close(&target);
		skip_because("no transparent huge pages here");
	}
	assert_int_equal(add(&target, BASE, end), 0);
	arm(&target, BASE, end);
	assert_true(uffd_is_armed(target.pagemap_fd, BASE));
	assert_int_equal(pagescan_registry_release(target.registry, BASE, end), 0);
	assert_int_equal(uffd_count_armed(target.pagemap_fd, BASE, end), 0);
	assert_int_equal(count_registered(&target, BASE, end), 0);
	assert_int_equal(read_kib(&target, "smaps", "AnonHugePages"), before);
	target_close(&target);
}

/* Told 'f': put memory of its own, with a userfaultfd of its own, amid ours; and a hole. */
static int lay_out_and_replace(char told)
{
	struct uapi_uffdio_api api = {
		.api = UAPI_UFFD_API,
		.features = UAPI_UFFD_FEATURE_WP_ASYNC | UAPI_UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uapi_uffdio_register request = {
		.range = {BASE + 10 * MIB, MIB},
		.mode = UAPI_UFFDIO_REGISTER_MODE_WP,
	};
	struct uapi_uffdio_writeprotect protect = {
		.range = {BASE + 10 * MIB, MIB},
		.mode = UAPI_UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int uffd;

	if (told != 'f')
		return lay_out_64_mib(told);
	munmap((void *)(BASE + 10 * MIB), 2 * MIB);
	map_small_pages(BASE + 10 * MIB, MIB);
	memset((void *)(BASE + 10 * MIB), 1, MIB);
	uffd = uffd_make();
	if (ioctl(uffd, UAPI_UFFDIO_API, &api) < 0 ||
	    ioctl(uffd, UAPI_UFFDIO_REGISTER, &request) < 0 ||
	    ioctl(uffd, UAPI_UFFDIO_WRITEPROTECT, &protect) < 0)
		_exit(8);
	return 0;
}

static void test_foreign_memory_is_left_alone(void **state)
{
	uint64_t end = BASE + 64 * MIB, foreign = BASE + 10 * MIB;
	struct pagescan_registration found;
	struct target target;

	open_or_skip(&target, lay_out_and_replace);
	assert_int_equal(add(&target, BASE, end), 0);
	arm(&target, BASE, end);
	target_tell(&target, 'f');
	assert_int_equal(add(&target, BASE, end), -EBUSY);
	assert_int_equal(add(&target, foreign, foreign + MIB), -EBUSY);
	/* A refusal takes nothing back. */
	assert_true(pagescan_registry_find(target.registry, 0, &found));
	assert_int_equal(found.end, end);
	assert_int_equal(count_registered(&target, BASE, end), 63 * MIB);

	assert_int_equal(pagescan_registry_release(target.registry, BASE, end), 0);
	assert_int_equal(count_registered(&target, BASE, foreign), 0);
	assert_int_equal(count_registered(&target, foreign, end), MIB);
	assert_int_equal(count_registered(&target, foreign, foreign + MIB), MIB);
	for (uint64_t at = foreign; at < foreign + MIB; at += target.page)
		assert_true(uffd_is_armed(target.pagemap_fd, at));
	assert_false(uffd_is_armed(target.pagemap_fd, foreign - target.page));
	assert_false(uffd_is_armed(target.pagemap_fd, foreign + 2 * MIB));
	target_close(&target);
}

static void test_forget_leaves_the_memory(void **state)
{
	struct pagescan_registration found;
	struct target target;

	open_or_skip(&target, lay_out_64_mib);
	assert_int_equal(add(&target, BASE, BASE + 64 * MIB), 0);
	assert_int_equal(pagescan_registry_forget(target.registry, BASE, BASE + MIB), 0);
	assert_true(pagescan_registry_find(target.registry, 0, &found));
	assert_int_equal(found.start, BASE + MIB);
	assert_int_equal(count_registered(&target, BASE, BASE + MIB), MIB);
	target_close(&target);
}

static void test_refusals(void **state)
{
	struct pagescan_registration found;
	struct target target;

	open_or_skip(&target, lay_out_64_mib);
	assert_int_equal(add(&target, BASE + 128 * MIB, BASE + 129 * MIB), -EINVAL);
	assert_int_equal(add(&target, BASE + 1, BASE + MIB), -EINVAL);
	assert_false(pagescan_registry_find(target.registry, 0, &found));
	assert_int_equal(pagescan_registry_release(target.registry, 0, UINT64_MAX), 0);
	target_close(&target);
}

/* Each on its own: every second page of a mapping has other rights. */
static int lay_out_many(char told)
{
	if (told)
		return 0;
	map_small_pages(BASE, N_MANY * 4096);
	for (uint64_t i = 0; i < N_MANY; i++) {
		*(char *)(BASE + i * 4096) = 1;
		if (i % 2)
			mprotect((void *)(BASE + i * 4096), 4096, PROT_READ);
	}
	return 0;
}

static void test_many_mappings(void **state)
{
	uint64_t end = BASE + (uint64_t)N_MANY * 4096;
	struct target target;

	open_or_skip(&target, lay_out_many);
	if (target.page != 4096) {
		target_close(&target);
		skip_because("pages are not of 4096 bytes");
	}
	/* Notes of different kinds do not become one. */
	for (uint64_t i = 0; i < N_MANY; i++) {
		struct pagescan_registration r = {
			.start = BASE + i * 4096,
			.end = BASE + (i + 1) * 4096,
			.page_size = 4096,
			.kind = i % 2 ? PAGESCAN_MEMORY_SHARED : PAGESCAN_MEMORY_ANON,
		};

		assert_int_equal(pagescan_registry_add(target.registry, &r), 0);
	}
	assert_int_equal(target.registry->ranges.n, N_MANY);
	arm(&target, BASE, end);
	assert_int_equal(pagescan_registry_release(target.registry, BASE + MIB, end - MIB), 0);
	assert_int_equal(count_registered(&target, BASE, end), 2 * MIB);
	pagescan_registry_close(target.registry);
	assert_int_equal(count_registered(&target, BASE, end), 0);
	assert_int_equal(uffd_count_armed(target.pagemap_fd, BASE, end), 0);
	target_close(&target);
}

/* As many mappings as it may have, so that none can be cut in two. */
static int lay_out_and_fill(char told)
{
	if (told != 'f')
		return lay_out_64_mib(told);
	mprotect((void *)(BASE + 40 * MIB), 24 * MIB, PROT_READ);
	for (uint64_t i = 0;; i++) {
		if (mmap((void *)(BASE + GIB + i * 8192), 4096, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			return 0;
	}
}

static void test_no_mapping_left(void **state)
{
	uint64_t end = BASE + 64 * MIB;
	struct target target;

	open_or_skip(&target, lay_out_and_fill);
	assert_int_equal(add(&target, BASE, end), 0);
	arm(&target, BASE, end);
	target_tell(&target, 'f');
	/* The first piece of it needs one more mapping. */
	assert_int_equal(pagescan_registry_release(target.registry, BASE, end), 0);
	assert_int_equal(count_registered(&target, BASE, end), 0);
	assert_int_equal(uffd_count_armed(target.pagemap_fd, BASE, end), 0);

	/* Here the first mapping is registered before the second fails. */
	assert_int_equal(add(&target, BASE, end - MIB), -ENOMEM);
	assert_int_equal(count_registered(&target, BASE, end), 0);
	/* And what was ours before stays. */
	assert_int_equal(add(&target, BASE, BASE + 40 * MIB), 0);
	assert_int_equal(add(&target, BASE, end - MIB), -ENOMEM);
	assert_int_equal(count_registered(&target, BASE, end), 40 * MIB);
	target_close(&target);
}

static void test_target_is_gone(void **state)
{
	struct target target;

	open_or_skip(&target, lay_out_64_mib);
	for (uint64_t i = 0; i < 64; i += 2)
		assert_int_equal(add(&target, BASE + i * MIB, BASE + (i + 1) * MIB), 0);
	kill(target.child.pid, SIGKILL);
	child_wait_ended(&target.child);
	assert_int_equal(add(&target, BASE, BASE + MIB), -ENOMEM);
	assert_int_equal(pagescan_registry_release(target.registry, BASE, BASE + 8 * MIB), 0);
	target_close(&target);
}

/* The kernel's own answer to what is registered is what the notes say, whatever was done. */
static void test_random_changes(void **state)
{
	uint64_t random = test_seed(), n_pages = 64 * MIB / pagescan_page_size();
	bool model[64 * MIB / 4096] = {0};
	struct target target;

	open_or_skip(&target, lay_out_64_mib);
	for (int round = 0; round < 300; round++) {
		uint64_t from = test_random(&random) % n_pages;
		uint64_t n = 1 + test_random(&random) % (n_pages - from);
		bool is_add = test_random(&random) % 2;
		uint64_t start = BASE + from * target.page, end = start + n * target.page;

		if (is_add)
			assert_int_equal(add(&target, start, end), 0);
		else
			assert_int_equal(pagescan_registry_release(target.registry, start, end), 0);
		memset(model + from, is_add, n);
		for (int i = 0; i < 20; i++) {
			uint64_t page = test_random(&random) % n_pages;
			uint64_t at = BASE + page * target.page;
			struct pagescan_registration found;
			bool noted = pagescan_registry_find(target.registry, at, &found) &&
				     found.start <= at;

			assert_int_equal(noted, model[page]);
			assert_int_equal(count_registered(&target, at, at + target.page),
					 model[page] ? target.page : 0);
		}
	}
	target_close(&target);
}

/* The child's copy acts on our memory; its closing must not. */
static void test_close_after_fork(void **state)
{
	struct pagescan_process *process;
	struct pagescan_registration r = {
		.end = MIB,
		.page_size = pagescan_page_size(),
	};
	void *memory = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	r.start = (uintptr_t)memory;
	r.end += r.start;
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	if (pagescan_registry_open(&process->registry, uffd_make()) < 0) {
		pagescan_process_close(process);
		skip_because("no userfaultfd with async write-protection here");
	}
	assert_int_equal(pagescan_registry_add(&process->registry, &r), 0);
	pid = fork();
	if (pid == 0) {
		pagescan_process_close(process);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(uffd_count(process->pagemap_fd, r.start, r.end, PAGESCAN_IS_WPALLOWED),
			 MIB);
	pagescan_process_close(process);
	munmap(memory, MIB);
}

static void test_no_userfaultfd(void **state)
{
	struct pagescan_registry registry = {.uffd = -1};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(pagescan_registry_open(&registry, fds[0]) < 0);
	/* It was taken over nevertheless. */
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(registry.uffd, -1);
	pagescan_registry_close(&registry);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_release),
		cmocka_unit_test(test_reservation_grows_no_page_tables),
		cmocka_unit_test(test_huge_pages_stay),
		cmocka_unit_test(test_foreign_memory_is_left_alone),
		cmocka_unit_test(test_forget_leaves_the_memory),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_many_mappings),
		cmocka_unit_test(test_no_mapping_left),
		cmocka_unit_test(test_target_is_gone),
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_close_after_fork),
		cmocka_unit_test(test_no_userfaultfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
