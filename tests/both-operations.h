/* SPDX-License-Identifier: MIT */
/* The same question to the kernel's operation and to the engine over /proc. */
#ifndef TESTS_BOTH_OPERATIONS_H
#define TESTS_BOTH_OPERATIONS_H

#include "process/process.h"
#include "scan/operation.h"
#include "scan/view-procfs.h"
#include "support.h"

#include <string.h>

#define BOTH_N_VEC 4096
#define BOTH_LIMIT UINT64_C(0x7ffffffff000) /* of addresses of programs (R2.7) */

/* One operation's answer. */
struct both_answer {
	struct uapi_pm_scan_arg arg;
	struct pagescan_region vec[BOTH_N_VEC];
	int r;
};

static inline void both_ask_kernel(struct pagescan_process *process, struct both_answer *a)
{
	struct pagescan_operation_kernel op;

	a->arg.vec = a->arg.vec_len ? (uintptr_t)a->vec : 0;
	pagescan_operation_kernel_init(&op, process->pagemap_fd);
	a->r = op.handle.scan(&op.handle, &a->arg);
}

static inline void both_ask_engine(struct pagescan_process *process, enum pagescan_era era,
				   uint64_t available, struct both_answer *a)
{
	struct pagescan_operation_engine op;
	struct pagescan_view_procfs view;

	a->arg.vec = a->arg.vec_len ? (uintptr_t)a->vec : 0;
	assert_int_equal(pagescan_view_procfs_init(&view, process, era), 0);
	pagescan_operation_engine_init(&op, &view.view, era, available, BOTH_LIMIT);
	a->r = op.handle.scan(&op.handle, &a->arg);
}

static inline void both_print(const struct uapi_pm_scan_arg *arg)
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

static inline void both_assert_same(const struct both_answer *kernel,
				    const struct both_answer *engine)
{
	bool is_same = kernel->r == engine->r && kernel->arg.walk_end == engine->arg.walk_end;
	int i = 0;

	while (is_same && i < kernel->r &&
	       memcmp(&kernel->vec[i], &engine->vec[i], sizeof(kernel->vec[i])) == 0)
		i++;
	if (is_same && i >= kernel->r)
		return;
	both_print(&kernel->arg);
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

static inline uint64_t both_random_mask(uint64_t *random, uint64_t from)
{
	return test_random(random) & test_random(random) & from;
}

/* About the categories in @exact, of pages in [start, end). */
static inline struct uapi_pm_scan_arg both_random_question(uint64_t *random, uint64_t exact,
							   uint64_t start, uint64_t end)
{
	static const uint64_t lengths[] = {0, 1, 2, 3, 32, 511, 512, 513, 1025, BOTH_N_VEC};
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec_len = lengths[test_random(random) % 10],
		.category_inverted = both_random_mask(random, exact),
		.category_mask = both_random_mask(random, exact),
		.category_anyof_mask =
			test_random(random) % 2 ? both_random_mask(random, exact) : 0,
		.return_mask = test_random(random) & exact,
	};

	if (test_random(random) % 4 == 0)
		arg.category_mask = arg.return_mask = PAGESCAN_IS_WRITTEN;
	if (test_random(random) % 4 == 0)
		arg.category_inverted = 0;
	if (test_random(random) % 8 == 0)
		arg.category_mask = 0;
	if (test_random(random) % 2)
		arg.start += test_random(random) % ((end - start) / 4096) * 4096;
	if (test_random(random) % 2)
		arg.end -= test_random(random) % (end - arg.start);
	if (test_random(random) % 2)
		arg.max_pages = 1 + test_random(random) % (test_random(random) % 2 ? 16 : 4000);
	if (test_random(random) % 8 == 0)
		arg.flags = UAPI_PM_SCAN_CHECK_WPASYNC;
	return arg;
}

/* Both must say the same. */
static inline void both_compare(struct pagescan_process *process, enum pagescan_era era,
				uint64_t available, const struct uapi_pm_scan_arg *arg)
{
	static struct both_answer kernel, engine;

	kernel.arg = engine.arg = *arg;
	both_ask_kernel(process, &kernel);
	both_ask_engine(process, era, available, &engine);
	both_assert_same(&kernel, &engine);
}

#endif
