/* SPDX-License-Identifier: MIT */
/*
 * The operation performed over /proc, against the kernel's own on the same memory:
 * the number of regions, each of them, and walk_end, on what is exact (section 12).
 */
#include "both-operations.h"
#include "scan-tracked.h"
#include "zoo.h"

#include <sys/prctl.h>

static uint64_t random_address(uint64_t *random)
{
	size_t page = test_random(random) % (ZOO_N_PAGES + 1);

	return page == ZOO_N_PAGES ? ZOO_END : zoo_address(page);
}

/* Of the whole zoo, or from one of its pages to another. */
static struct uapi_pm_scan_arg random_question(uint64_t *random, uint64_t exact)
{
	struct uapi_pm_scan_arg arg = both_random_question(random, exact, ZOO_BASE, ZOO_END);

	if (test_random(random) % 2) {
		arg.start = random_address(random);
		arg.end = random_address(random) + test_random(random) % 4 * 1000;
	}
	return arg;
}

/* Which categories the engine tells of the zoo as the kernel does. */
static uint64_t find_exact(struct zoo *zoo)
{
	struct pagescan_description can;
	uint64_t exact;

	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &can, NULL), 0);
	/* Nobody tracks here but the zoo. */
	exact = (can.exact | PAGESCAN_IS_WPALLOWED) & zoo->available;
	zoo_find_huge(zoo);
	if (zoo->is_huge[ZOO_HUGE] && zoo->is_huge[ZOO_TRACKED_HUGE])
		exact |= PAGESCAN_IS_HUGE;
	printf("# exact: 0x%llx\n", (unsigned long long)exact);
	return exact;
}

/* The tests need the kernel's operation to compare with. */
static struct zoo *open_both(bool is_own, uint64_t *random)
{
	return zoo_open(is_own, PAGESCAN_OPERATION_KERNEL, random);
}

static void look(bool is_own, unsigned n_rounds)
{
	uint64_t random = test_seed();
	struct zoo *zoo = open_both(is_own, &random);
	uint64_t exact = find_exact(zoo);

	for (unsigned round = 0; round < n_rounds; round++) {
		struct uapi_pm_scan_arg arg = random_question(&random, exact);

		both_compare(zoo->process, zoo->era, zoo->available, &arg);
		if (round % 64 == 63 && zoo->is_tracking) {
			zoo_arm_some(zoo, &random);
			zoo_write(zoo, (ZOO_TRACKED * ZOO_CAGE) + test_random(&random) % ZOO_CAGE);
		}
	}
	zoo_close(zoo);
}

static void test_look_own(void **state)
{
	look(true, 4000);
}

static void test_look_other(void **state)
{
	look(false, 2000);
}

/* As nobody: no frames, no kpageflags. The process's own memory stays its own. */
static void test_look_unprivileged(void **state)
{
	uid_t was = geteuid();

	if (was != 0 || prctl(PR_GET_DUMPABLE) != 1)
		skip_because("needs root, to become nobody");
	assert_int_equal(seteuid(65534), 0);
	prctl(PR_SET_DUMPABLE, 1);
	assert_int_equal(zoo_find_zero_frame(), 0);
	look(true, 4000);
	assert_int_equal(seteuid(was), 0);
	prctl(PR_SET_DUMPABLE, 1);
}

/* Another program than this one, which a sanitizer may have given terabytes. */
static void sleep_long(int fd, void *arg)
{
	execlp("sleep", "sleep", "1000", NULL);
}

static bool is_sleeping(pid_t pid)
{
	char path[32], state = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	assert_non_null(stat);
	assert_int_equal(fscanf(stat, "%*d %*s %c", &state), 1);
	fclose(stat);
	return state == 'S';
}

/* All of a process, its code and stack and what the kernel maps there: vvar is passed over. */
static void test_whole_memory(void **state)
{
	uint64_t random = test_seed();
	struct child child = child_start(sleep_long, NULL);
	struct pagescan_description kernel, engine;
	struct pagescan_process *process;

	/* Its end of the socket is closed by exec. */
	assert_int_equal(child_hear(child.fd), 0);
	while (!is_sleeping(child.pid))
		usleep(1000);
	if (pagescan_scan_describe(PAGESCAN_OPERATION_KERNEL, &kernel, NULL) < 0) {
		child_end(&child);
		skip_because("no PAGEMAP_SCAN");
	}
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &engine, NULL), 0);
	assert_int_equal(pagescan_process_open(child.pid, &process, NULL), 0);
	for (unsigned round = 0; round < 200; round++) {
		struct uapi_pm_scan_arg arg =
			both_random_question(&random, engine.exact, 0, BOTH_LIMIT);

		/* Nobody knows which of its page tables exist and are empty. */
		if (!(arg.category_mask & PAGESCAN_IS_PRESENT & ~arg.category_inverted)) {
			arg.category_inverted &= ~PAGESCAN_IS_WRITTEN;
			arg.category_mask &= ~PAGESCAN_IS_WRITTEN;
			arg.category_anyof_mask &= ~PAGESCAN_IS_WRITTEN;
			arg.return_mask &= ~PAGESCAN_IS_WRITTEN;
		}
		both_compare(process, kernel.era, engine.categories, &arg);
	}
	pagescan_process_close(process);
	child_end(&child);
}

/* Of a mapping that another registered, what was never there is written (section 0). */
static void test_tracked_by_another(void **state)
{
	uint64_t random = test_seed(), length = 8 * HUGE, start;
	struct pagescan_process *other = tracked_open(), *ours;
	char *at = tracked_map(length, MAP_PRIVATE | MAP_ANONYMOUS);
	struct pagescan_description kernel, engine;

	start = (uintptr_t)at;
	madvise(at, length, MADV_NOHUGEPAGE);
	memset(at, 1, 100 * PAGE);
	memset(at + 5 * HUGE, 1, PAGE);
	tracked_add(other, at, length / 2, PAGE, PAGESCAN_MEMORY_ANON);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_KERNEL, &kernel, NULL), 0);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &engine, NULL), 0);
	assert_int_equal(pagescan_process_open(0, &ours, NULL), 0);
	for (unsigned round = 0; round < 500; round++) {
		struct uapi_pm_scan_arg arg =
			both_random_question(&random, engine.exact, start, start + length);

		arg.flags = 0;
		both_compare(ours, kernel.era, engine.categories, &arg);
	}
	pagescan_process_close(ours);
	munmap(at, length);
	tracked_close(other);
}

/* What is not in our registry is passed over, though the kernel knows it as ours. */
static void test_ours_alone(void **state)
{
	struct pagescan_process *process = tracked_open();
	char *at = tracked_map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS);
	uint64_t start = (uintptr_t)at, middle = start + 100 * PAGE;
	struct both_answer *answer = calloc(1, sizeof(*answer));
	struct pagescan_description can;

	madvise(at, HUGE, MADV_NOHUGEPAGE);
	memset(at, 1, HUGE);
	tracked_add(process, at, HUGE, PAGE, PAGESCAN_MEMORY_ANON);
	assert_int_equal(pagescan_registry_forget(&process->registry, middle, middle + 50 * PAGE),
			 0);
	assert_int_equal(pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &can, NULL), 0);
	answer->arg = (struct uapi_pm_scan_arg){
		.size = sizeof(answer->arg),
		.flags = UAPI_PM_SCAN_WP_MATCHING,
		.start = start,
		.end = start + HUGE,
		.vec_len = 3,
		.category_mask = PAGESCAN_IS_WRITTEN,
	};
	both_ask_engine(process, can.era, can.categories, answer);
	assert_int_equal(answer->r, 2);
	assert_int_equal(answer->vec[0].end, middle);
	assert_int_equal(answer->vec[1].start, middle + 50 * PAGE);
	assert_int_equal(uffd_count_armed(process->pagemap_fd, start, start + HUGE),
			 HUGE - 50 * PAGE);
	assert_int_equal(uffd_count_armed(process->pagemap_fd, middle, middle + 50 * PAGE), 0);
	free(answer);
	munmap(at, HUGE);
	tracked_close(process);
}

/* Of two processes with the same memory one is armed by the kernel, one by the engine. */
static void assert_same_memory(struct zoo *kernel, struct zoo *engine)
{
	const uint64_t seen = UAPI_PAGEMAP_PRESENT | UAPI_PAGEMAP_SWAPPED | UAPI_PAGEMAP_FILE |
			      UAPI_PAGEMAP_GUARD | UAPI_PAGEMAP_UFFD_WP;

	zoo_read_entries(kernel);
	zoo_read_entries(engine);
	for (size_t i = 0; i < ZOO_N_PAGES; i++) {
		if ((kernel->entries[i] ^ engine->entries[i]) & seen)
			fail_msg("page %zu of cage %zu: 0x%llx, not 0x%llx", i % ZOO_CAGE,
				 i / ZOO_CAGE, (unsigned long long)engine->entries[i],
				 (unsigned long long)kernel->entries[i]);
	}
}

/* Both are written to in the same places, now and then. */
static void live_on(struct zoo *kernel, struct zoo *engine, uint64_t *random)
{
	for (int i = 0; i < 64; i++) {
		size_t page = ZOO_TRACKED * ZOO_CAGE +
			      test_random(random) % (ZOO_N_PAGES - ZOO_TRACKED * ZOO_CAGE);

		zoo_write(kernel, page);
		zoo_write(engine, page);
	}
}

static void test_protect(void **state)
{
	uint64_t random = test_seed(), same = random, exact;
	struct zoo *kernel = open_both(false, &random);
	struct zoo *engine = open_both(false, &same);
	static struct both_answer by_kernel, by_engine;

	if (!kernel->is_tracking) {
		zoo_close(kernel);
		zoo_close(engine);
		skip_because("async write-protection is missing or not permitted");
	}
	/* Once huge pages are split, which are is unknown. */
	exact = find_exact(kernel) & ~PAGESCAN_IS_HUGE;
	assert_same_memory(kernel, engine);
	for (unsigned round = 0; round < 1500; round++) {
		struct uapi_pm_scan_arg arg = random_question(&random, exact);

		/* Without a vector, some kernels crash (section 14). */
		if (arg.vec_len)
			arg.flags |= UAPI_PM_SCAN_WP_MATCHING;
		by_kernel.arg = by_engine.arg = arg;
		both_ask_kernel(kernel->process, &by_kernel);
		both_ask_engine(engine->process, engine->era, engine->available, &by_engine);
		both_assert_same(&by_kernel, &by_engine);
		if (round % 4 == 0)
			assert_same_memory(kernel, engine);
		if (round % 8 == 0)
			live_on(kernel, engine, &random);
	}
	zoo_close(kernel);
	zoo_close(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look_own),          cmocka_unit_test(test_look_other),
		cmocka_unit_test(test_look_unprivileged), cmocka_unit_test(test_whole_memory),
		cmocka_unit_test(test_protect),           cmocka_unit_test(test_tracked_by_another),
		cmocka_unit_test(test_ours_alone),
	};

	return cmocka_run_group_tests_name("view-procfs", tests, NULL, NULL);
}
