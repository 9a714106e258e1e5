/* SPDX-License-Identifier: MIT */
/*
 * The engine on a model, and the kernel on real memory that went through the same:
 * random changes, random scans, and not one difference in what is returned, in any
 * region, in walk_end, or in the memory afterwards.
 *
 * PAGESCAN_SCANS=1000000 makes it that many scans, PAGESCAN_SEED repeats a run.
 */
#include "child.h"
#include "pool.h"
#include "scan/probe.h"
#include "twin.h"

#define VEC_BYTES    (UINT64_C(1) << 20)
#define N_VEC        (VEC_BYTES / sizeof(struct pagescan_region))
#define HUGETLB_2MIB (21 << 26)
#define POOL         (2 * (long)TWIN_N_BLOCK + 4)

/* Marks a vec that is an offset into the vector of whoever is asked. */
#define IN_VECTOR  (UINT64_C(1) << 62)
#define DUMP_PAGES (TWIN_N_PAGES + 1)

/* Two vectors, and behind each memory that cannot be written. */
static unsigned char *vectors[2];
static struct uapi_pm_scan_arg *args[2];
static size_t n_scans, n_regions, n_protecting, n_errors, n_excused, n_spoilt;

struct answer {
	int result; /* number of regions, or a negative errno */
	struct uapi_pm_scan_arg arg;
};

static void *map_guarded(size_t bytes)
{
	char *p = mmap(NULL, bytes + TWIN_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + bytes, TWIN_PAGE, PROT_NONE), 0);
	return p;
}

static int by_kernel(struct twin *t, void *arg)
{
	int r = ioctl(t->pagemap_fd, UAPI_PAGEMAP_SCAN, arg);

	return r < 0 ? -errno : r;
}

static int by_engine(struct twin *t, void *arg)
{
	return pagescan_model_scan(t->model, arg);
}

static uint64_t random_mask(struct twin *t)
{
	uint64_t mask = test_random(&t->random) & test_random(&t->random) & t->asked;

	return twin_one_in(t, 3) ? 0 : mask;
}

static void random_masks(struct twin *t, struct uapi_pm_scan_arg *arg)
{
	if (twin_one_in(t, 4)) {
		arg->category_mask = arg->return_mask = PAGESCAN_IS_WRITTEN;
		return;
	}
	arg->category_mask = random_mask(t) & (twin_one_in(t, 2) ? random_mask(t) : ~UINT64_C(0));
	arg->category_inverted = random_mask(t);
	arg->category_anyof_mask = twin_one_in(t, 2) ? random_mask(t) : 0;
	arg->return_mask = random_mask(t);
}

static uint64_t random_limit(struct twin *t)
{
	switch (twin_below(t, 6)) {
	case 0:
		return 1 + twin_below(t, 10);
	case 1:
		return 1 + twin_below(t, 1500);
	case 2:
		return 512 * (1 + twin_below(t, 3));
	case 3:
		return ~UINT64_C(0) >> twin_below(t, 10);
	default:
		return 0;
	}
}

static uint64_t random_vec_len(struct twin *t)
{
	static const uint64_t odd[] = {0, 1, 2, 511, 512, 513, 1024, 1025};

	if (twin_one_in(t, 3))
		return odd[twin_below(t, 8)];
	return twin_one_in(t, 2) ? 1 + twin_below(t, 40) : N_VEC;
}

static void random_flags(struct twin *t, struct uapi_pm_scan_arg *arg)
{
	arg->flags = twin_one_in(t, 2) ? 0 : UAPI_PM_SCAN_WP_MATCHING;
	if (twin_one_in(t, 3))
		arg->flags |= UAPI_PM_SCAN_CHECK_WPASYNC;
}

/* Values that are wrong, or look so. */
static void spoil(struct twin *t, struct uapi_pm_scan_arg *arg)
{
	static const uint64_t sizes[] = {0, 88, 95, 97, 104, (UINT64_C(1) << 32) + 96};
	static const uint64_t addresses[] = {0,
					     16,
					     UINT64_C(0x7ffffffff000),
					     UINT64_C(0x7fffffffe000),
					     UINT64_C(0x800000000000),
					     UINT64_C(1) << 63,
					     ~UINT64_C(0),
					     ~UINT64_C(4095)};
	uint64_t address = addresses[twin_below(t, 8)], bit;

	switch (twin_below(t, 10)) {
	case 0:
		arg->size = sizes[twin_below(t, 6)];
		break;
	case 1:
		arg->flags |= UINT64_C(1) << twin_below(t, 64);
		break;
	case 2:
		bit = UINT64_C(1) << twin_below(t, 64);
		if (!(bit & t->categories & ~t->asked))
			*(&arg->category_inverted + twin_below(t, 4)) |= bit;
		break;
	case 3:
		arg->start += twin_below(t, TWIN_PAGE);
		break;
	case 4:
		arg->end = address;
		break;
	case 5:
		arg->start = arg->end = address;
		break;
	case 6:
		arg->vec = address;
		break;
	case 7:
		arg->vec_len = address;
		break;
	case 8:
		arg->start = arg->end;
		break;
	case 9:
		arg->end -= twin_below(t, TWIN_PAGE);
	}
}

static void random_vector(struct twin *t, struct uapi_pm_scan_arg *arg)
{
	arg->vec_len = random_vec_len(t);
	arg->vec = IN_VECTOR + twin_below(t, 4); /* R2.10: it need not be aligned */
	if (arg->vec_len > N_VEC - 1)
		arg->vec_len = N_VEC - 1;
	/* Not all of it can be written (R1.7, R7.10). */
	if (twin_one_in(t, 30))
		arg->vec = IN_VECTOR + VEC_BYTES - twin_below(t, arg->vec_len * 24 + 1);
}

/* Only of this memory: what else the process has, changes. */
static bool is_ours(const struct uapi_pm_scan_arg *arg)
{
	return arg->start == arg->end || arg->end < arg->start ||
	       (arg->start >= TWIN_BASE - TWIN_BLOCK && arg->end <= TWIN_END + TWIN_BLOCK);
}

static struct uapi_pm_scan_arg random_arg(struct twin *t)
{
	struct uapi_pm_scan_arg arg;
	struct twin_range range = twin_range(t);

	do {
		arg = (struct uapi_pm_scan_arg){.size = sizeof(arg),
						.start = range.start,
						.end = range.start + range.length,
						.walk_end = test_random(&t->random)};
		if (twin_one_in(t, 2)) {
			arg.start = TWIN_BASE;
			arg.end = TWIN_END;
		}
		random_flags(t, &arg);
		random_masks(t, &arg);
		random_vector(t, &arg);
		arg.max_pages = random_limit(t);
		if (twin_one_in(t, 10))
			spoil(t, &arg);
	} while (!is_ours(&arg));
	return arg;
}

static struct answer ask(struct twin *t, int side, const struct uapi_pm_scan_arg *question)
{
	struct answer answer;

	*args[side] = *question;
	if (question->vec & IN_VECTOR)
		args[side]->vec = (uintptr_t)vectors[side] + (question->vec & ~IN_VECTOR);
	answer.result = side == 0 ? by_kernel(t, args[side]) : by_engine(t, args[side]);
	answer.arg = *args[side];
	answer.arg.vec = question->vec;
	return answer;
}

static void print_question(const struct uapi_pm_scan_arg *a)
{
	printf("# flags %llx range %llx-%llx vec_len %llu max %llu inv %llx mask %llx any %llx "
	       "ret %llx\n",
	       (unsigned long long)a->flags, (unsigned long long)a->start,
	       (unsigned long long)a->end, (unsigned long long)a->vec_len,
	       (unsigned long long)a->max_pages, (unsigned long long)a->category_inverted,
	       (unsigned long long)a->category_mask, (unsigned long long)a->category_anyof_mask,
	       (unsigned long long)a->return_mask);
}

static void print_difference(const struct answer answers[2], uint64_t shift)
{
	const struct pagescan_region *a = (const void *)(vectors[0] + shift);
	const struct pagescan_region *b = (const void *)(vectors[1] + shift);
	int shown = 0;

	for (int i = 0; i < 2; i++)
		printf("# %s: %d, walk_end %llx\n", i ? "engine" : "kernel", answers[i].result,
		       (unsigned long long)answers[i].arg.walk_end);
	for (int i = 0; shown < 3 && i < answers[0].result && i < answers[1].result; i++) {
		if (memcmp(&a[i], &b[i], sizeof(a[i])) == 0)
			continue;
		shown++;
		printf("# region %d: kernel %llx-%llx %llx, engine %llx-%llx %llx\n", i,
		       (unsigned long long)a[i].start, (unsigned long long)a[i].end,
		       (unsigned long long)a[i].categories, (unsigned long long)b[i].start,
		       (unsigned long long)b[i].end, (unsigned long long)b[i].categories);
	}
}

static bool is_equal(struct twin *t, const struct uapi_pm_scan_arg *question, bool print)
{
	struct answer answers[2] = {ask(t, 0, question), ask(t, 1, question)};
	int n = answers[0].result;

	if (n == answers[1].result &&
	    memcmp(&answers[0].arg, &answers[1].arg, sizeof(answers[0].arg)) == 0 &&
	    (n <= 0 || memcmp(vectors[0] + (question->vec & ~IN_VECTOR),
			      vectors[1] + (question->vec & ~IN_VECTOR),
			      (size_t)n * sizeof(struct pagescan_region)) == 0)) {
		n_scans++;
		n_protecting += question->flags & UAPI_PM_SCAN_WP_MATCHING;
		n_errors += n < 0;
		n_regions += n > 0 ? (size_t)n : 0;
		return true;
	}
	if (print) {
		print_question(question);
		print_difference(answers, question->vec & ~IN_VECTOR);
	}
	return false;
}

static bool is_same_memory(struct twin *t, bool print)
{
	const struct uapi_pm_scan_arg dump = {
		.size = sizeof(dump),
		.start = TWIN_BASE - TWIN_BLOCK,
		.end = TWIN_END + TWIN_BLOCK,
		.vec = IN_VECTOR,
		.vec_len = DUMP_PAGES,
		.return_mask = t->asked,
	};

	return is_equal(t, &dump, print);
}

static void print_change(const struct twin *t)
{
	printf("# after %s; the model's mappings now:\n", t->said);
	for (size_t i = 0; i < t->model->n_mappings; i++) {
		const struct pagescan_model_mapping *m = &t->model->mappings[i];

		printf("# %llx-%llx memory %d mode %d huge %d family %u file %u offset %llx\n",
		       (unsigned long long)m->start, (unsigned long long)m->end, m->memory, m->mode,
		       m->wants_huge, m->anon, m->file, (unsigned long long)m->offset);
	}
}

static uint64_t read_collapsed(void)
{
	FILE *file = fopen(TWIN_COLLAPSED, "re");
	unsigned long long n = 0;

	if (file && fscanf(file, "%llu", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

static void live(int fd, void *arg)
{
	child_say(fd, 'r');
	child_hear(fd);
}

/* R10.7: the child's memory, seen from outside. */
static bool is_same_in_child(struct twin *t)
{
	struct twin child = *t;
	struct child process = child_start(live, NULL);
	char path[64];
	bool is_same;

	child_hear(process.fd);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)process.pid);
	child.pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pagescan_model_fork(t->model, &child.model), 0);
	is_same = is_same_memory(&child, true);
	for (unsigned i = 0; is_same && i < 4; i++) {
		struct uapi_pm_scan_arg question = random_arg(t);

		is_same = is_equal(&child, &question, true);
	}
	if (!is_same) {
		snprintf(child.said, sizeof(child.said), "fork");
		print_change(&child);
	}
	pagescan_model_free(child.model);
	close(child.pagemap_fd);
	child_end(&process);
	return is_same;
}

/* Ends without a verdict where the kernel did by itself what nobody told it. */
static void run_trial(struct twin *t)
{
	uint64_t collapsed = read_collapsed();
	struct pagescan_model_opts opts = {
		.size = sizeof(opts), .era = t->era, .categories = t->categories};
	size_t n_steps = 5 + twin_below(t, 60);

	assert_int_equal(pagescan_model_new(&opts, &t->model), 0);
	for (size_t step = 0; step < n_steps; step++) {
		struct uapi_pm_scan_arg question;
		bool is_same;

		twin_change(t);
		if (t->is_spoilt) {
			n_spoilt++;
			break;
		}
		is_same = is_same_memory(t, true);
		if (!is_same)
			print_change(t);
		for (unsigned i = 0; is_same && i < 4; i++) {
			question = random_arg(t);
			is_same = is_equal(t, &question, true);
			if (is_same && (question.flags & UAPI_PM_SCAN_WP_MATCHING) &&
			    !is_same_memory(t, true)) {
				print_question(&question);
				is_same = false;
			}
		}
		if (!is_same && read_collapsed() != collapsed) {
			n_excused++;
			break;
		}
		assert_true(is_same);
	}
	if (!t->is_spoilt && twin_one_in(t, 4) && read_collapsed() == collapsed)
		assert_true(is_same_in_child(t));
	pagescan_model_free(t->model);
}

/* Of new memory, all is soft-dirty where the kernel has that. */
static bool has_soft_dirty(struct twin *t)
{
	void *p = mmap(NULL, TWIN_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pagescan_region region;
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)p,
		.end = (uintptr_t)p + TWIN_PAGE,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = PAGESCAN_IS_SOFT_DIRTY,
	};
	int r = by_kernel(t, &arg);

	munmap(p, TWIN_PAGE);
	return r == 1;
}

static void open_twin(struct twin *t, bool has_hugetlb)
{
	struct pagescan_probed can;

	assert_int_equal(pagescan_probe(&can), 0);
	if (!can.capabilities.has_wp_async || pagescan_page_size() != TWIN_PAGE)
		skip_because("no async write-protection, or other pages than of 4 KiB");
	t->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	t->era = can.capabilities.era;
	t->categories = can.capabilities.categories;
	/* Which memory is soft-dirty, no model knows; where nothing ever is, it may be asked. */
	t->asked = t->categories & ~PAGESCAN_IS_SOFT_DIRTY;
	if (!has_soft_dirty(t))
		t->asked = t->categories;
	t->has_swap = twin_has_swap();
	t->has_guards = t->categories & PAGESCAN_IS_GUARD;
	t->uffds[PAGESCAN_MODEL_WP_ASYNC] = twin_uffd(UAPI_UFFD_FEATURE_WP_ASYNC);
	t->uffds[PAGESCAN_MODEL_WP_SYNC] =
		twin_uffd(UINT64_C(0x1001) | UAPI_UFFD_FEATURE_WP_UNPOPULATED);
	t->uffds[PAGESCAN_MODEL_MISSING] = twin_uffd(0);
	for (int i = 0; i < TWIN_N_FILES; i++)
		t->files[i] = twin_file();
	t->has_hugetlb = has_hugetlb;
	t->huge_file = -1;
	if (!has_hugetlb)
		return;
	/* Before the fixes of 2026, to protect where hugetlb has a hole hung the caller (R7.6). */
	if (t->era == PAGESCAN_ERA_1)
		skip_because("this kernel may hang at what is tried");
	t->huge_file = memfd_create("twin", MFD_CLOEXEC | MFD_HUGETLB | HUGETLB_2MIB);
	if (pool_change(0) < 2 * TWIN_N_BLOCK || t->huge_file < 0 ||
	    ftruncate(t->huge_file, TWIN_SIZE) < 0)
		skip_because("no hugetlb pages to be had (vm.nr_hugepages)");
}

static void begin_trial(struct twin *t)
{
	munmap(twin_at(TWIN_BASE), TWIN_SIZE);
	t->is_frozen = t->is_spoilt = t->has_moved = false;
	t->may_be_huge = !twin_one_in(t, 3);
	if (t->huge_file >= 0)
		assert_int_equal(ftruncate(t->huge_file, 0) + ftruncate(t->huge_file, TWIN_SIZE),
				 0);
	for (int i = 0; i < TWIN_N_FILES; i++) {
		assert_int_equal(ftruncate(t->files[i], 0), 0);
		assert_int_equal(ftruncate(t->files[i], TWIN_SIZE), 0);
	}
}

static void close_twin(struct twin *t)
{
	munmap(twin_at(TWIN_BASE), TWIN_SIZE);
	for (int i = 0; i < TWIN_N_FILES; i++)
		close(t->files[i]);
	for (int i = PAGESCAN_MODEL_WP_ASYNC; i <= PAGESCAN_MODEL_MISSING; i++)
		close(t->uffds[i]);
	if (t->huge_file >= 0)
		close(t->huge_file);
	close(t->pagemap_fd);
}

static size_t wanted_scans(void)
{
	const char *given = getenv("PAGESCAN_SCANS");

	return given ? strtoull(given, NULL, 0) : 100000;
}

static void run(uint64_t seed, bool has_hugetlb)
{
	struct twin t = {.random = seed};

	open_twin(&t, has_hugetlb);
	n_scans = n_regions = n_protecting = n_errors = n_excused = n_spoilt = 0;
	while (n_scans < wanted_scans()) {
		begin_trial(&t);
		run_trial(&t);
	}
	close_twin(&t);
	printf("# %s swap; %zu scans, %zu of them protecting, %zu refused, %zu regions; trials "
	       "ended by "
	       "khugepaged: %zu, by a collapse that the kernel could not do: %zu\n",
	       t.has_swap ? "with" : "no", n_scans, n_protecting, n_errors, n_regions, n_excused,
	       n_spoilt);
	assert_true(n_protecting > n_scans / 20 && n_errors > n_scans / 100);
}

static void test_fixed_seed(void **state)
{
	run(1, false);
}

static void test_fresh_seed(void **state)
{
	run(test_seed(), false);
}

static void test_hugetlb(void **state)
{
	run(test_seed(), true);
}

/* R2.1: an argument that cannot be read, or not be written back. */
static void test_bad_arguments(void **state)
{
	struct uapi_pm_scan_arg *read_only =
		mmap(NULL, TWIN_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct twin t = {.random = 1};
	struct pagescan_model_opts opts = {.size = sizeof(opts)};
	uint64_t bad[] = {0,
			  1,
			  (uintptr_t)args[0] + TWIN_PAGE,
			  (uintptr_t)args[0] + TWIN_PAGE - 95,
			  UINT64_C(0x7ffffffff000),
			  UINT64_C(1) << 63,
			  ~UINT64_C(0)};

	open_twin(&t, false);
	opts.era = t.era;
	opts.categories = t.categories;
	assert_int_equal(pagescan_model_new(&opts, &t.model), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(by_kernel(&t, twin_at(bad[i])), -EFAULT);
		assert_int_equal(by_engine(&t, twin_at(bad[i])), -EFAULT);
	}
	assert_int_equal(by_kernel(&t, read_only), -EINVAL);
	assert_int_equal(by_engine(&t, read_only), -EINVAL);
	pagescan_model_free(t.model);
	close_twin(&t);
	munmap(read_only, TWIN_PAGE);
}

static int give_back(void **state)
{
	pool_change(-POOL);
	return 0;
}

static int set_up(void **state)
{
	pool_change(POOL);
	for (int i = 0; i < 2; i++) {
		vectors[i] = map_guarded(VEC_BYTES);
		args[i] = map_guarded(TWIN_PAGE);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_fixed_seed),
		cmocka_unit_test(test_fresh_seed),
		cmocka_unit_test(test_hugetlb),
	};

	return cmocka_run_group_tests(tests, set_up, give_back);
}
