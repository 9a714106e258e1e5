/* SPDX-License-Identifier: MIT */
/*
 * A program that tracks a part of its own memory, and counts the rounds in which it
 * did not see just what it wrote.
 */
#include "plan.h"

#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct plan *plan;
static unsigned char *memory;
static size_t page_size;
static int uffd, pagemap;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static int track(unsigned long request)
{
	struct uapi_uffdio_register r = {
		.range = {(uintptr_t)memory, PLAN_N_PAGES * page_size},
		.mode = UAPI_UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(uffd, request, &r);
}

static void set_up(void)
{
	struct uapi_uffdio_api api = {.api = UAPI_UFFD_API, .features = UAPI_UFFD_FEATURE_WP_ASYNC};

	memory = mmap(NULL, PLAN_N_PAGES * page_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* In era 1, a scan does not arm what has no page table: the first round would lie. */
	memset(memory, 1, PLAN_N_PAGES * page_size);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UAPI_UFFDIO_API, &api) < 0 || track(UAPI_UFFDIO_REGISTER) < 0)
		die("userfaultfd");
}

/* What was written since the last time, a byte a page. */
static void collect(unsigned char *has)
{
	static struct {
		uint64_t start, end, categories;
	} regions[PLAN_N_PAGES];
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = UAPI_PM_SCAN_WP_MATCHING | UAPI_PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + PLAN_N_PAGES * page_size,
		.vec = (uintptr_t)regions,
		.vec_len = PLAN_N_PAGES,
		.category_mask = 2,
		.return_mask = 2,
	};
	int n = ioctl(pagemap, UAPI_PAGEMAP_SCAN, &arg);

	memset(has, 0, PLAN_N_PAGES);
	for (int i = 0; i < n; i++) {
		for (uint64_t at = regions[i].start; at < regions[i].end; at += page_size)
			has[(at - arg.start) / page_size] = 1;
	}
	if (n < 0)
		plan->n_failed++;
}

/* Lets go of its memory now and then: it must get it back. */
static void run(void)
{
	static unsigned char has[PLAN_N_PAGES], wrote[PLAN_N_PAGES];

	collect(has);
	while (!__atomic_load_n(&plan->must_stop, __ATOMIC_RELAXED)) {
		memset(wrote, 0, sizeof(wrote));
		for (unsigned i = 0; i < 500; i++) {
			size_t page =
				rand_r(&(unsigned){plan->n_written * 1000 + i}) % PLAN_N_PAGES;

			memory[page * page_size] = wrote[page] = 1;
		}
		collect(has);
		if (memcmp(has, wrote, PLAN_N_PAGES) != 0)
			plan->n_failed++;
		if (plan->n_written++ % 64 == 0) {
			track(UAPI_UFFDIO_UNREGISTER);
			usleep(2000);
			if (track(UAPI_UFFDIO_REGISTER) < 0)
				plan->n_failed += 1000;
			collect(has);
		}
	}
}

int main(void)
{
	char command = COMMAND_JOIN;

	page_size = sysconf(_SC_PAGESIZE);
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, PLAN_FD, 0);
	if (plan == MAP_FAILED)
		die("plan");
	set_up();
	plan->base[0] = (uintptr_t)memory;
	do {
		if (write(STDOUT_FILENO, &command, 1) != 1)
			break;
		if (command == COMMAND_RACE)
			run();
	} while (read(STDIN_FILENO, &command, 1) == 1 && command != COMMAND_END);
	return 0;
}
