/* SPDX-License-Identifier: MIT */
/*
 * Measure what the library costs, each side in alternation with its baseline.
 *
 *     bench [NAME...]     all, or those that are named
 *
 * docs/benchmarks.md says what the columns mean.
 */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pagescan_error bench_error;

static const struct {
	const char *name;
	int (*run)(void);
} benchmarks[] = {
	{"collect-clean", bench_collect_clean},
	{"collect-dirty-10", bench_collect_dirty_10},
	{"collect-dirty-100", bench_collect_dirty_100},
	{"collect-clean-vs-pread", bench_collect_clean_vs_pread},
	{"scan-present", bench_scan_present},
	{"scan-present-20k", bench_scan_present_20k},
	{"engine-procfs-scan", bench_engine_procfs_scan},
	{"engine-procfs-all", bench_engine_procfs_all},
	{"engine-model-throughput", bench_engine_model_throughput},
	{"first-write", bench_first_write},
	{"shim-passthrough", bench_shim_passthrough},
	{"attach-stop", bench_attach_stop},
	{"target-stall", bench_target_stall},
};

static const size_t n_benchmarks = sizeof(benchmarks) / sizeof(benchmarks[0]);

static int is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc < 2;
}

static int run_wanted(int argc, char **argv)
{
	int failed = 0, n_run = 0;

	for (size_t i = 0; i < n_benchmarks; i++) {
		int r;

		if (!is_wanted(benchmarks[i].name, argc, argv))
			continue;
		n_run++;
		r = benchmarks[i].run();
		if (r == 0)
			continue;
		fprintf(stderr, "bench: %s: %s\n", benchmarks[i].name,
			r == bench_error.code ? bench_error.text : strerror(-r));
		failed = 1;
	}
	if (n_run)
		return failed;
	fprintf(stderr, "bench: no such benchmark; there are:");
	for (size_t i = 0; i < n_benchmarks; i++)
		fprintf(stderr, " %s", benchmarks[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	/* A benchmark may run this program once more, below the first one's heading. */
	if (!getenv("LD_PRELOAD"))
		printf("name\tours\tbaseline\tratio\tunit\n");
	return run_wanted(argc, argv);
}
