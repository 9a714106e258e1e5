/* SPDX-License-Identifier: MIT */
/* What tracking does to the program that is tracked: nothing that it could notice. */
#include "watched.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static unsigned long long read_number(const struct writer *w, const char *file, const char *key)
{
	unsigned long long sum = 0, number;
	char path[64], line[512];
	FILE *lines;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)w->child.pid, file);
	lines = fopen(path, "re");
	while (lines && fgets(line, sizeof(line), lines)) {
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%llu", &number) == 1)
			sum += number;
	}
	fclose(lines);
	return sum;
}

static size_t count_fds(const struct writer *w)
{
	char path[64];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)w->child.pid);
	dir = opendir(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Mappings that some userfaultfd write-protects. */
static size_t count_registered(const struct writer *w)
{
	char path[64], line[512];
	size_t n = 0;
	FILE *lines;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)w->child.pid);
	lines = fopen(path, "re");
	while (fgets(line, sizeof(line), lines))
		n += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " uw") != NULL;
	fclose(lines);
	return n;
}

static size_t count_armed(const struct writer *w)
{
	struct plan *plan = w->plan;
	uint64_t entry;
	char path[64];
	size_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)w->child.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < plan->n_pages[area]; i++) {
			uint64_t at = plan->base[area] + i * plan->stride[area];

			if (pread(fd, &entry, 8, at / page_bytes() * 8) == 8)
				n += entry >> 57 & 1;
		}
	}
	close(fd);
	return n;
}

/* Write every @step-th page of every area. */
static void write_all(struct writer *w, size_t step)
{
	w->plan->n_threads = PLAN_N_THREADS;
	for (unsigned area = 0; area < N_AREAS; area++) {
		w->plan->n_ops = 0;
		for (size_t i = 0; i < PLAN_N_PAGES; i += step)
			w->plan->ops[w->plan->n_ops++] =
				(struct plan_op){.kind = OP_WRITE, .area = area, .page = i};
		if (area == AREA_CODE)
			w->plan->n_threads = 1;
		tell(w, COMMAND_STEP);
	}
}

static int pass_over(const struct pagescan_region *region, void *arg)
{
	return 0;
}

static void collect_all(struct writer *w)
{
	assert_int_equal(
		pagescan_tracker_visit(w->tracker, PAGESCAN_COLLECT_REARM, pass_over, NULL), 0);
}

static void test_nothing_grows_and_nothing_stays(void **state)
{
	unsigned long long tables, memory;
	size_t n_fds, n_mappings;
	struct writer w;

	start_program(&w, "writer");
	write_all(&w, 16);
	tables = read_number(&w, "status", "VmPTE:");
	memory = read_number(&w, "status", "VmRSS:");
	n_mappings = read_number(&w, "smaps", "KernelPageSize:");
	n_fds = count_fds(&w);
	watch(&w, PAGESCAN_TRACKER_ALL);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	assert_true(count_registered(&w) > 0);
	assert_true(count_armed(&w) > 0);
	collect_all(&w);
	write_all(&w, 16);
	collect_all(&w);
	assert_int_equal(read_number(&w, "status", "VmPTE:"), tables);
	assert_in_range(read_number(&w, "status", "VmRSS:"), memory - 256, memory + 256);
	unwatch(&w);
	assert_int_equal(read_number(&w, "status", "VmPTE:"), tables);
	assert_int_equal(read_number(&w, "status", "TracerPid:"), 0);
	assert_int_equal(read_number(&w, "smaps", "KernelPageSize:"), n_mappings);
	assert_int_equal(count_registered(&w), 0);
	assert_int_equal(count_armed(&w), 0);
	assert_int_equal(count_fds(&w), n_fds);
	end_program(&w);
}

/* Somebody else's userfaultfd keeps every write, and can let go of its memory and take it again. */
static void test_a_program_that_tracks_itself(void **state)
{
	struct pagescan_region region;
	uint64_t cursor = 0;
	struct writer w;
	struct pagescan_capabilities can;
	ssize_t n;

	assert_int_equal(pagescan_scan_probe(&can), 0);
	if (!can.has_wp_async)
		skip_because("no userfaultfd with async write-protection here");
	start_program(&w, "tracks-itself");
	watch(&w, PAGESCAN_TRACKER_ALL);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	child_say(w.child.fd, COMMAND_RACE);
	for (int i = 0; i < 300; i++) {
		while ((n = pagescan_tracker_collect(w.tracker, &cursor, &region, 1,
						     PAGESCAN_COLLECT_REARM)) == 1)
			assert_true(region.end <= w.plan->base[0] ||
				    region.start >= w.plan->base[0] + PLAN_N_PAGES * page_bytes());
		assert_int_equal(n, 0);
		usleep(1000);
	}
	assert_int_equal(pagescan_tracker_add(w.tracker, w.plan->base[0], page_bytes()), -EBUSY);
	w.plan->must_stop = 1;
	assert_int_equal(child_hear(w.child.fd), COMMAND_RACE);
	assert_true(w.plan->n_written > 100);
	printf("# %llu rounds of its own\n", (unsigned long long)w.plan->n_written);
	unwatch(&w);
	end_program(&w);
}

/* All the time, while we come, look and go. */
static void test_memory_that_comes_and_goes(void **state)
{
	struct writer w;

	start_program(&w, "writer");
	w.plan->seed = test_seed();
	tell(&w, COMMAND_CHURN);
	for (int round = 0; round < 10; round++) {
		watch(&w, PAGESCAN_TRACKER_ALL);
		assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
		for (int i = 0; i < 20; i++)
			collect_all(&w);
		unwatch(&w);
	}
	w.plan->must_stop = 1;
	tell(&w, COMMAND_JOIN);
	printf("# mapped and unmapped %llu times\n", (unsigned long long)w.plan->n_written);
	end_program(&w);
}

/* The kernel lets only those advise another process who may set its priority. */
static bool can_advise(const struct writer *w)
{
	int pidfd = (int)syscall(SYS_pidfd_open, w->child.pid, 0);
	long r = syscall(SYS_process_madvise, pidfd, NULL, 0, MADV_COLD, 0);
	bool can = r == 0 || errno != EPERM;

	close(pidfd);
	return can;
}

static void test_huge_pages_are_put_back(void **state)
{
	struct pagescan_tracker_cost cost;
	unsigned long long huge;
	struct writer w;

	start_program(&w, "writer");
	huge = read_number(&w, "smaps_rollup", "AnonHugePages:");
	if (huge == 0) {
		child_end(&w.child);
		skip_because("no huge pages to be had (transparent_hugepage)");
	}
	watch(&w, PAGESCAN_TRACKER_ALL);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	assert_int_equal(read_number(&w, "smaps_rollup", "AnonHugePages:"), huge);
	write_all(&w, 64);
	collect_all(&w);
	assert_true(read_number(&w, "smaps_rollup", "AnonHugePages:") < huge);
	pagescan_tracker_finish(w.tracker);
	pagescan_tracker_get_cost(w.tracker, &cost);
	printf("# faults %llu split %llu restored %llu held %llu ns\n",
	       (unsigned long long)cost.n_faults, (unsigned long long)cost.n_huge_split,
	       (unsigned long long)cost.n_huge_restored, (unsigned long long)cost.longest_hold_ns);
	assert_true(cost.n_huge_split > 0);
	if (!can_advise(&w)) {
		assert_int_equal(cost.n_huge_restored, 0);
		unwatch(&w);
		end_program(&w);
		skip_because("needs CAP_SYS_NICE, to put huge pages back");
	}
	assert_int_equal(read_number(&w, "smaps_rollup", "AnonHugePages:"), huge);
	assert_int_equal(cost.n_huge_restored, cost.n_huge_split);
	assert_true(cost.stopped_ns > 0);
	unwatch(&w);
	end_program(&w);
}

static void test_the_program_ends(void **state)
{
	struct pagescan_region region;
	uint64_t cursor = 0;
	struct writer w;
	ssize_t n;

	start_program(&w, "writer");
	watch(&w, PAGESCAN_TRACKER_ALL);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	write_all(&w, 64);
	n = pagescan_tracker_collect(w.tracker, &cursor, &region, 1, PAGESCAN_COLLECT_REARM);
	assert_int_equal(n, 1);
	child_say(w.child.fd, COMMAND_END);
	child_wait_ended(&w.child);
	while (n > 0)
		n = pagescan_tracker_collect(w.tracker, &cursor, &region, 1,
					     PAGESCAN_COLLECT_REARM);
	assert_int_equal(n, -ESRCH);
	assert_int_equal(pagescan_tracker_arm(w.tracker), -ESRCH);
	assert_int_equal(pagescan_tracker_visit(w.tracker, 0, pass_over, NULL), -ESRCH);
	unwatch(&w);
	child_end(&w.child);
}

struct untracked {
	size_t n_special, n_shared;
	uint64_t shared;
};

static int note_untracked(const struct pagescan_mapping *m, const char *reason, void *arg)
{
	struct untracked *u = arg;

	u->n_special += strcmp(m->name, "[vdso]") == 0 && strstr(reason, "special") != NULL;
	if (m->start <= u->shared && m->end > u->shared)
		u->n_shared += strstr(reason, "shared") != NULL;
	return 0;
}

static void test_what_is_not_tracked_is_said(void **state)
{
	struct untracked u = {0};
	struct writer w;

	start_program(&w, "writer");
	watch(&w, PAGESCAN_TRACKER_ALL);
	u.shared = w.plan->base[AREA_SHARED];
	assert_int_equal(pagescan_tracker_visit_untracked(w.tracker, note_untracked, &u), 0);
	assert_int_equal(u.n_special, 1);
	assert_int_equal(u.n_shared, 1);
	unwatch(&w);
	end_program(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_grows_and_nothing_stays),
		cmocka_unit_test(test_a_program_that_tracks_itself),
		cmocka_unit_test(test_memory_that_comes_and_goes),
		cmocka_unit_test(test_huge_pages_are_put_back),
		cmocka_unit_test(test_the_program_ends),
		cmocka_unit_test(test_what_is_not_tracked_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
