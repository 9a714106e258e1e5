/* SPDX-License-Identifier: MIT */
/* What the kernel can do is found, the same in every thread, and nothing is left behind. */
#include "scan/probe.h"
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <string.h>

#define N_THREADS 8

static unsigned count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void *probe(void *arg)
{
	struct pagescan_capabilities *can = arg;

	return pagescan_scan_probe(can) == 0 ? arg : NULL;
}

static void test_threads(void **state)
{
	struct pagescan_capabilities can[N_THREADS];
	pthread_t threads[N_THREADS];
	unsigned n_files = count_files();

	memset(can, 0xff, sizeof(can));
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, probe, &can[i]), 0);
	for (int i = 0; i < N_THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_non_null(result);
		assert_int_equal(can[i].era, can[0].era);
		assert_int_equal(can[i].categories, can[0].categories);
		assert_int_equal(can[i].has_wp_async, can[0].has_wp_async);
	}
	assert_int_equal(count_files(), n_files);
}

static void test_answers(void **state)
{
	struct pagescan_probed probed;
	const struct pagescan_capabilities *can = &probed.capabilities;

	assert_int_equal(pagescan_probe(&probed), 0);
	printf("# era %d, categories 0x%llx, wp_async %d, procmap_query %d, memory ends at "
	       "0x%llx\n",
	       (int)can->era, (unsigned long long)can->categories, can->has_wp_async,
	       can->has_procmap_query, (unsigned long long)probed.memory_end);
	if (can->era == PAGESCAN_ERA_NONE)
		skip_because("this kernel has no PAGEMAP_SCAN");
	/* The first release had these. */
	assert_int_equal(can->categories & 0x7f, 0x7f);
	assert_true((uintptr_t)&probed < probed.memory_end);
	assert_int_equal(probed.memory_end % 4096, 0);
}

/* Where somebody knows better than the probe: the lists of check-kernels do. */
static void test_as_told(void **state)
{
	const char *told = getenv("PAGESCAN_EXPECT");
	struct pagescan_capabilities can;
	char text[128];

	if (!told)
		skip_because("PAGESCAN_EXPECT does not say what this kernel can do");
	assert_int_equal(pagescan_scan_probe(&can), 0);
	snprintf(text, sizeof(text), "era %d categories 0x%llx wp_async %d procmap_query %d",
		 (int)can.era, (unsigned long long)can.categories, can.has_wp_async,
		 can.has_procmap_query);
	assert_string_equal(text, told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_as_told),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
