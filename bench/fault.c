/* SPDX-License-Identifier: MIT */
/* The first write to an armed page, against mprotect and a SIGSEGV handler. */
#include "bench.h"
#include "measure.h"
#include <errno.h>
#include <pagescan/pagescan.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_PAGES 4096

struct fault {
	struct pagescan_tracker *tracker;
	volatile char *armed;     /* our side's memory: tracked */
	volatile char *protected; /* the baseline's: its own, so that neither pays for the other */
	size_t page;
	size_t length;
};

/* A signal handler takes no context: what it opens, and the list it keeps as a tracker would. */
static struct fault fault;
static uintptr_t written[N_PAGES];
static size_t n_written;

static void on_segv(int signal, siginfo_t *info, void *ignored)
{
	const uintptr_t at = (uintptr_t)info->si_addr & ~(fault.page - 1);

	/* Not the fault that we made: end the program. */
	if (at - (uintptr_t)fault.protected >= fault.length ||
	    mprotect((void *)at, fault.page, PROT_READ | PROT_WRITE) < 0)
		_exit(3);
	written[n_written++] = at;
}

static void write_pages(const struct fault *f, volatile char *memory)
{
	for (size_t i = 0; i < f->length; i += f->page)
		memory[i]++;
}

static int arm(void *context)
{
	const struct fault *f = context;

	return pagescan_tracker_arm(f->tracker);
}

static int write_armed(void *context)
{
	const struct fault *f = context;

	write_pages(f, f->armed);
	return 0;
}

static int protect(void *context)
{
	const struct fault *f = context;

	n_written = 0;
	return mprotect((void *)f->protected, f->length, PROT_READ) < 0 ? -errno : 0;
}

static int write_protected(void *context)
{
	const struct fault *f = context;

	write_pages(f, f->protected);
	return n_written == N_PAGES ? 0 : -EIO;
}

static int measure(struct fault *f)
{
	int r = pagescan_tracker_open(NULL, NULL, &f->tracker, &bench_error);

	if (!r)
		r = pagescan_tracker_add(f->tracker, (uintptr_t)f->armed, f->length);
	if (!r)
		r = bench_compare(&(struct bench_comparison){
			.name = "first-write",
			.unit = "us",
			.unit_ns = 1e3,
			.n_per_call = N_PAGES,
			.n_pairs = 51,
			.prepare = arm,
			.ours = write_armed,
			.prepare_baseline = protect,
			.baseline = write_protected,
			.context = f,
		});
	pagescan_tracker_close(f->tracker);
	return r;
}

int bench_first_write(void)
{
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO}, before;
	char *memory;
	int r;

	fault = (struct fault){.page = sysconf(_SC_PAGESIZE)};
	fault.length = N_PAGES * fault.page;
	/* A hole between the two keeps them two mappings. */
	memory = mmap(NULL, 3 * fault.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	munmap(memory + fault.length, fault.length);
	fault.armed = memory;
	fault.protected = memory + 2 * fault.length;
	madvise(memory, fault.length, MADV_NOHUGEPAGE);
	madvise(memory + 2 * fault.length, fault.length, MADV_NOHUGEPAGE);
	write_pages(&fault, fault.armed);
	write_pages(&fault, fault.protected);

	sigaction(SIGSEGV, &action, &before);
	r = measure(&fault);
	sigaction(SIGSEGV, &before, NULL);
	munmap(memory, fault.length);
	munmap(memory + 2 * fault.length, fault.length);
	return r;
}
