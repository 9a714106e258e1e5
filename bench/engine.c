/* SPDX-License-Identifier: MIT */
/* Scanning by the library's own operation, against reading the same pagemap and looking at it. */
#include "bench.h"
#include "measure.h"
#include <errno.h>
#include <fcntl.h>
#include <pagescan/pagescan.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH    (UINT64_C(1) << 30)
#define N_REGIONS 4096
#define N_ENTRIES 8192 /* 64 KiB at a time */

#define IS_PRESENT (UINT64_C(1) << 63)

/* Those of which the engine knows without privilege what the kernel would say. */
#define UNPRIVILEGED                                                                               \
	(PAGESCAN_IS_WPALLOWED | PAGESCAN_IS_WRITTEN | PAGESCAN_IS_FILE | PAGESCAN_IS_PRESENT |    \
	 PAGESCAN_IS_SWAPPED | PAGESCAN_IS_SOFT_DIRTY | PAGESCAN_IS_GUARD)

struct engine {
	struct pagescan_process *process;
	struct pagescan_filter filter;
	struct pagescan_region *regions;
	uint64_t *entries;
	char *memory;
	size_t page;
	int pagemap_fd;
};

static int engine_open(struct engine *e)
{
	e->page = sysconf(_SC_PAGESIZE);
	e->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	e->regions = calloc(N_REGIONS, sizeof(*e->regions));
	e->entries = calloc(N_ENTRIES, sizeof(*e->entries));
	e->memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->pagemap_fd < 0 || !e->regions || !e->entries || e->memory == MAP_FAILED)
		return -ENOMEM;
	madvise(e->memory, LENGTH, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < LENGTH; i += e->page)
		e->memory[i] = 1;
	return pagescan_process_open(0, &e->process, &bench_error);
}

static void engine_close(struct engine *e)
{
	pagescan_process_close(e->process);
	if (e->memory != MAP_FAILED)
		munmap(e->memory, LENGTH);
	if (e->pagemap_fd >= 0)
		close(e->pagemap_fd);
	free(e->entries);
	free(e->regions);
}

static int engine_ours(void *context)
{
	struct engine *e = context;
	const struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = (uintptr_t)e->memory,
		.end = (uintptr_t)e->memory + LENGTH,
		.operation = PAGESCAN_OPERATION_ENGINE,
	};
	struct pagescan_scan *scan;
	size_t n_pages = 0;
	ssize_t n;
	int r = pagescan_scan_new(e->process, &e->filter, &opts, &scan, &bench_error);

	if (r < 0)
		return r;
	while ((n = pagescan_scan_next(scan, e->regions, N_REGIONS)) > 0)
		for (ssize_t i = 0; i < n; i++)
			n_pages += (e->regions[i].end - e->regions[i].start) / e->page;
	pagescan_scan_free(scan);
	return n < 0 ? n : n_pages == LENGTH / e->page ? 0 : -EIO;
}

static int engine_read(void *context)
{
	struct engine *e = context;
	off_t at = (off_t)((uintptr_t)e->memory / e->page * sizeof(*e->entries));
	size_t left = LENGTH / e->page, n_pages = 0;

	while (left > 0) {
		size_t n = left < N_ENTRIES ? left : N_ENTRIES;

		if (pread(e->pagemap_fd, e->entries, n * sizeof(*e->entries), at) !=
		    (ssize_t)(n * sizeof(*e->entries)))
			return -EIO;
		for (size_t i = 0; i < n; i++)
			n_pages += (e->entries[i] & IS_PRESENT) != 0;
		at += (off_t)(n * sizeof(*e->entries));
		left -= n;
	}
	return n_pages == LENGTH / e->page ? 0 : -EIO;
}

static int engine_compare(const char *name, struct pagescan_filter filter)
{
	struct engine e = {.filter = filter};
	int r = engine_open(&e);

	if (!r)
		r = bench_compare(&(struct bench_comparison){
			.name = name,
			.unit = "us",
			.unit_ns = 1e3,
			.n_per_call = 1,
			.n_pairs = 101,
			.ours = engine_ours,
			.baseline = engine_read,
			.context = &e,
		});
	engine_close(&e);
	return r;
}

int bench_engine_procfs_scan(void)
{
	return engine_compare("engine-procfs-scan",
			      (struct pagescan_filter){.required = PAGESCAN_IS_PRESENT,
						       .report = PAGESCAN_IS_PRESENT});
}

int bench_engine_procfs_all(void)
{
	struct pagescan_description can;
	int r = pagescan_scan_describe(PAGESCAN_OPERATION_ENGINE, &can, &bench_error);

	if (r < 0)
		return r;
	return engine_compare("engine-procfs-all",
			      (struct pagescan_filter){.report = UNPRIVILEGED & can.categories});
}
