/* SPDX-License-Identifier: MIT */
/*
 * The operation performed over /proc, against the kernel's own on the same memory:
 * the number of regions, each of them, and walk_end, on what is exact (section 12).
 */
#include "zoo.h"

#include "scan/operation.h"
#include "scan/view-procfs.h"

#include <sys/fsuid.h>
#include <sys/prctl.h>

#define N_VEC 4096
#define LIMIT UINT64_C(0x7ffffffff000)

/* One operation's answer. */
struct answer {
	struct uapi_pm_scan_arg arg;
	struct pagescan_region vec[N_VEC];
	int r;
};

static void ask_kernel(struct zoo *zoo, struct answer *a)
{
	struct pagescan_operation_kernel op;

	a->arg.vec = a->arg.vec_len ? (uintptr_t)a->vec : 0;
	pagescan_operation_kernel_init(&op, zoo->process->pagemap_fd);
	a->r = op.handle.scan(&op.handle, &a->arg);
}

static void ask_engine(struct zoo *zoo, struct answer *a)
{
	struct pagescan_operation_engine op;
	struct pagescan_view_procfs view;

	a->arg.vec = a->arg.vec_len ? (uintptr_t)a->vec : 0;
	assert_int_equal(pagescan_view_procfs_init(&view, zoo->process, zoo->era), 0);
	pagescan_operation_engine_init(&op, &view.view, zoo->era, zoo->available, LIMIT);
	a->r = op.handle.scan(&op.handle, &a->arg);
}

static void print_question(const struct uapi_pm_scan_arg *arg)
{
	print_message(
		"# flags %llx, [%llx, %llx), vec_len %llu, max_pages %llu, inverted %llx, mask "
		"%llx, anyof %llx, return %llx\n",
		(unsigned long long)arg->flags, (unsigned long long)arg->start,
		(unsigned long long)arg->end, (unsigned long long)arg->vec_len,
		(unsigned long long)arg->max_pages, (unsigned long long)arg->category_inverted,
		(unsigned long long)arg->category_mask,
		(unsigned long long)arg->category_anyof_mask, (unsigned long long)arg->return_mask);
}

static void assert_same_answers(const struct answer *kernel, const struct answer *engine)
{
	bool is_same = kernel->r == engine->r && kernel->arg.walk_end == engine->arg.walk_end;
	int i = 0;

	while (is_same && i < kernel->r &&
	       memcmp(&kernel->vec[i], &engine->vec[i], sizeof(kernel->vec[i])) == 0)
		i++;
	if (is_same && i >= kernel->r)
		return;
	print_question(&kernel->arg);
	if (is_same)
		print_message("# region %d: [%llx, %llx) %llx, not [%llx, %llx) %llx\n", i,
			      (unsigned long long)engine->vec[i].start,
			      (unsigned long long)engine->vec[i].end,
			      (unsigned long long)engine->vec[i].categories,
			      (unsigned long long)kernel->vec[i].start,
			      (unsigned long long)kernel->vec[i].end,
			      (unsigned long long)kernel->vec[i].categories);
	fail_msg("the engine says %d and 0x%llx, the kernel %d and 0x%llx", engine->r,
		 (unsigned long long)engine->arg.walk_end, kernel->r,
		 (unsigned long long)kernel->arg.walk_end);
}

static uint64_t random_mask(uint64_t *random, uint64_t from)
{
	return test_random(random) & test_random(random) & from;
}

static uint64_t random_address(uint64_t *random)
{
	size_t page = test_random(random) % (ZOO_N_PAGES + 1);

	return page == ZOO_N_PAGES ? ZOO_END : zoo_address(page);
}

/* About the categories in @exact. */
static struct uapi_pm_scan_arg random_question(uint64_t *random, uint64_t exact)
{
	static const uint64_t lengths[] = {0, 1, 2, 3, 32, 511, 512, 513, 1025, N_VEC};
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = ZOO_BASE,
		.end = ZOO_END,
		.vec_len = lengths[test_random(random) % 10],
		.category_inverted = random_mask(random, exact),
		.category_mask = random_mask(random, exact),
		.category_anyof_mask = test_random(random) % 2 ? random_mask(random, exact) : 0,
		.return_mask = test_random(random) & exact,
	};

	if (test_random(random) % 4 == 0)
		arg.category_mask = arg.return_mask = PAGESCAN_IS_WRITTEN;
	if (test_random(random) % 4 == 0)
		arg.category_inverted = 0;
	if (test_random(random) % 8 == 0)
		arg.category_mask = 0;
	if (test_random(random) % 2) {
		arg.start = random_address(random);
		arg.end = random_address(random);
	}
	if (test_random(random) % 4 == 0)
		arg.end += test_random(random) % ZOO_PAGE;
	if (test_random(random) % 2)
		arg.max_pages = 1 + test_random(random) % (test_random(random) % 2 ? 16 : 4000);
	if (test_random(random) % 8 == 0)
		arg.flags = UAPI_PM_SCAN_CHECK_WPASYNC;
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

static void compare(struct zoo *zoo, const struct uapi_pm_scan_arg *arg)
{
	static struct answer kernel, engine;

	kernel.arg = engine.arg = *arg;
	ask_kernel(zoo, &kernel);
	ask_engine(zoo, &engine);
	assert_same_answers(&kernel, &engine);
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

		compare(zoo, &arg);
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

/* All of a process, its code and stack and what the kernel maps there: vvar is passed over. */
static void test_whole_memory(void **state)
{
	uint64_t random = test_seed();
	struct zoo *zoo = open_both(false, &random);
	uint64_t exact = find_exact(zoo);

	for (unsigned round = 0; round < 200; round++) {
		struct uapi_pm_scan_arg arg = random_question(&random, exact);

		arg.start = 0;
		arg.end = LIMIT;
		/* Nobody knows which of its page tables exist and are empty. */
		if (!(arg.category_mask & PAGESCAN_IS_PRESENT & ~arg.category_inverted)) {
			arg.category_inverted &= ~PAGESCAN_IS_WRITTEN;
			arg.category_mask &= ~PAGESCAN_IS_WRITTEN;
			arg.category_anyof_mask &= ~PAGESCAN_IS_WRITTEN;
			arg.return_mask &= ~PAGESCAN_IS_WRITTEN;
		}
		compare(zoo, &arg);
	}
	zoo_close(zoo);
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
	static struct answer by_kernel, by_engine;

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
		ask_kernel(kernel, &by_kernel);
		ask_engine(engine, &by_engine);
		assert_same_answers(&by_kernel, &by_engine);
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
		cmocka_unit_test(test_protect),
	};

	return cmocka_run_group_tests_name("view-procfs", tests, NULL, NULL);
}
