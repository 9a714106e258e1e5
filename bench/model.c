/* SPDX-License-Identifier: MIT */
/* Scanning a simulated address space by the engine, against the kernel on real memory that is
 * alike. */
#include "bench.h"
#include "kernel.h"
#include "measure.h"
#include <errno.h>
#include <fcntl.h>
#include <pagescan/model.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_PAGES   (UINT64_C(1) << 16)
#define N_REGIONS (N_PAGES / 2 + 1)

struct memory {
	struct pagescan_model *model;
	char *real;
	uint64_t page;
	int pagemap_fd;
	struct pagescan_region *regions;
};

/* Every other page is there: as many regions as can be. */
static int memory_fill(struct memory *m)
{
	int r = pagescan_model_map(m->model, (uintptr_t)m->real, N_PAGES * m->page,
				   PAGESCAN_MODEL_ANON, 0, 0);

	for (uint64_t i = 0; r == 0 && i < N_PAGES; i += 2) {
		m->real[i * m->page] = 1;
		r = pagescan_model_write(m->model, (uintptr_t)m->real + i * m->page);
	}
	return r;
}

static int memory_open(struct memory *m)
{
	m->page = sysconf(_SC_PAGESIZE);
	m->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	m->regions = calloc(N_REGIONS, sizeof(*m->regions));
	m->real = mmap(NULL, N_PAGES * m->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (m->pagemap_fd < 0 || !m->regions || m->real == MAP_FAILED)
		return -ENOMEM;
	madvise(m->real, N_PAGES * m->page, MADV_NOHUGEPAGE);
	return pagescan_model_new(NULL, &m->model);
}

static void memory_close(struct memory *m)
{
	pagescan_model_free(m->model);
	if (m->real != MAP_FAILED)
		munmap(m->real, N_PAGES * m->page);
	if (m->pagemap_fd >= 0)
		close(m->pagemap_fd);
	free(m->regions);
}

static struct kernel_scan_arg question(const struct memory *m)
{
	return (struct kernel_scan_arg){
		.size = sizeof(struct kernel_scan_arg),
		.start = (uintptr_t)m->real,
		.end = (uintptr_t)m->real + N_PAGES * m->page,
		.vec = (uintptr_t)m->regions,
		.vec_len = N_REGIONS,
		.category_mask = PAGESCAN_IS_PRESENT,
		.return_mask = PAGESCAN_IS_PRESENT,
	};
}

static int model_ours(void *context)
{
	struct memory *m = context;
	struct kernel_scan_arg arg = question(m);

	return pagescan_model_scan(m->model, &arg) == N_PAGES / 2 ? 0 : -EIO;
}

static int model_kernel(void *context)
{
	struct memory *m = context;
	struct kernel_scan_arg arg = question(m);

	return kernel_scan(m->pagemap_fd, &arg) == N_PAGES / 2 ? 0 : -EIO;
}

int bench_engine_model_throughput(void)
{
	struct memory m = {.pagemap_fd = -1, .real = MAP_FAILED};
	int r = memory_open(&m);

	if (!r)
		r = memory_fill(&m);
	if (!r)
		r = bench_compare(&(struct bench_comparison){
			.name = "engine-model-throughput",
			.unit = "ns a page",
			.unit_ns = 1,
			.n_per_call = N_PAGES,
			.n_pairs = 101,
			.ours = model_ours,
			.baseline = model_kernel,
			.context = &m,
		});
	memory_close(&m);
	return r;
}
