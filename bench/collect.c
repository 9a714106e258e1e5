/* SPDX-License-Identifier: MIT */
/* Collecting from own memory, against the kernel's operation called barely. */
#include "bench.h"
#include "kernel.h"
#include "measure.h"
#include <fcntl.h>
#include <pagescan/pagescan.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH    (UINT64_C(1) << 30)
#define N_REGIONS 32768

struct collect {
	struct pagescan_tracker *tracker;
	struct pagescan_region *regions; /* both sides fill the same array */
	uint64_t *entries;               /* of /proc/self/pagemap */
	char *memory;
	size_t page;
	size_t stride; /* every so many pages is written before a call; 0: none */
	size_t n_expected;
	int pagemap_fd;
};

static void collect_close(struct collect *c)
{
	pagescan_tracker_close(c->tracker);
	if (c->memory != MAP_FAILED)
		munmap(c->memory, LENGTH);
	if (c->pagemap_fd >= 0)
		close(c->pagemap_fd);
	free(c->regions);
	free(c->entries);
}

static int collect_open(struct collect *c, size_t stride)
{
	int r;

	*c = (struct collect){.page = sysconf(_SC_PAGESIZE), .stride = stride};
	c->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	c->regions = calloc(N_REGIONS, sizeof(*c->regions));
	c->entries = calloc(LENGTH / c->page, sizeof(*c->entries));
	c->memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	c->n_expected = stride ? (LENGTH / c->page + stride - 1) / stride : 0;
	if (c->pagemap_fd < 0 || !c->regions || !c->entries || c->memory == MAP_FAILED)
		return -ENOMEM;
	madvise(c->memory, LENGTH, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < LENGTH; i += c->page)
		c->memory[i] = 1;

	r = pagescan_tracker_open(NULL, NULL, &c->tracker, &bench_error);
	if (r < 0)
		return r;
	r = pagescan_tracker_add(c->tracker, (uintptr_t)c->memory, LENGTH);
	return r < 0 ? r : pagescan_tracker_arm(c->tracker);
}

/* The dirty set, made anew: the call before has armed it. */
static int collect_write(void *context)
{
	struct collect *c = context;

	for (size_t i = 0; c->stride && i < LENGTH; i += c->stride * c->page)
		c->memory[i]++;
	return 0;
}

static size_t count_pages(const struct collect *c, size_t n)
{
	size_t pages = 0;

	for (size_t i = 0; i < n; i++)
		pages += (c->regions[i].end - c->regions[i].start) / c->page;
	return pages;
}

static int collect_ours(void *context)
{
	struct collect *c = context;
	uint64_t cursor = 0;
	size_t pages = 0;
	ssize_t n;

	while ((n = pagescan_tracker_collect(c->tracker, &cursor, c->regions, N_REGIONS,
					     PAGESCAN_COLLECT_REARM)) > 0)
		pages += count_pages(c, n);
	return n < 0 ? n : pages == c->n_expected ? 0 : -EIO;
}

static int collect_bare(void *context)
{
	struct collect *c = context;
	struct kernel_scan_arg arg = {
		.flags = KERNEL_SCAN_PROTECT | KERNEL_SCAN_CHECK,
		.start = (uintptr_t)c->memory,
		.end = (uintptr_t)c->memory + LENGTH,
		.vec = (uintptr_t)c->regions,
		.vec_len = N_REGIONS,
		.category_mask = PAGESCAN_IS_WRITTEN,
		.return_mask = PAGESCAN_IS_WRITTEN,
	};
	int n = kernel_scan(c->pagemap_fd, &arg);

	/* The array holds them all: every tenth page of 1 GiB is 26215 regions. */
	return n < 0 ? n : count_pages(c, n) == c->n_expected ? 0 : -EIO;
}

static int collect_pread(void *context)
{
	struct collect *c = context;
	const size_t size = LENGTH / c->page * sizeof(*c->entries);
	const off_t offset = (uintptr_t)c->memory / c->page * sizeof(*c->entries);

	return pread(c->pagemap_fd, c->entries, size, offset) == (ssize_t)size ? 0 : -EIO;
}

static int collect_compare(const char *name, size_t stride, bench_step baseline)
{
	struct collect c;
	int r = collect_open(&c, stride);

	if (!r)
		r = bench_compare(&(struct bench_comparison){
			.name = name,
			.unit = "us",
			.unit_ns = 1e3,
			.n_per_call = 1,
			.n_pairs = stride == 1 ? 21 : 101,
			.prepare = collect_write,
			.ours = collect_ours,
			.baseline = baseline,
			.context = &c,
		});
	collect_close(&c);
	return r;
}

int bench_collect_clean(void)
{
	return collect_compare("collect-clean", 0, collect_bare);
}

int bench_collect_dirty_10(void)
{
	return collect_compare("collect-dirty-10", 10, collect_bare);
}

int bench_collect_dirty_100(void)
{
	return collect_compare("collect-dirty-100", 1, collect_bare);
}

int bench_collect_clean_vs_pread(void)
{
	return collect_compare("collect-clean-vs-pread", 0, collect_pread);
}
