/* SPDX-License-Identifier: MIT */
/* Children with memory that is laid out for a test, and a userfaultfd that acts on it. */
#ifndef TESTS_TARGET_H
#define TESTS_TARGET_H

#include "base/system.h"
#include "child.h"
#include "process/process.h"
#include "support.h"
#include "uffd.h"

#include <sys/mman.h>

#define BASE UINT64_C(0x200000000000)
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)

/* A child with memory at BASE that is laid out for the test, and what we hold of it. */
struct target {
	struct child child;
	struct pagescan_process *process;
	struct pagescan_registry *registry;
	int pagemap_fd;
	uint64_t page;
};

static inline void *map_at(uint64_t start, uint64_t length, int flags)
{
	void *at = mmap((void *)start, length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE | flags,
			-1, 0);

	if (at == MAP_FAILED)
		_exit(7);
	return at;
}

static inline void map_small_pages(uint64_t start, uint64_t length)
{
	madvise(map_at(start, length, 0), length, MADV_NOHUGEPAGE);
}

/* Lay out, hand over a userfaultfd, and then do as told. */
static inline void live(int fd, void *arg)
{
	int (*lay_out)(char told) = (int (*)(char))arg;
	char told = 0;

	do {
		lay_out(told);
		if (told)
			child_say(fd, told);
		else
			uffd_send(fd);
		told = child_hear(fd);
	} while (told);
}

static inline bool target_open(struct target *target, int (*lay_out)(char told))
{
	int uffd;

	target->page = pagescan_page_size();
	target->child = child_start(live, (void *)lay_out);
	uffd = uffd_receive(target->child.fd);
	assert_int_equal(pagescan_process_open(target->child.pid, &target->process, NULL), 0);
	target->registry = &target->process->registry;
	target->pagemap_fd = target->process->pagemap_fd;
	if (uffd >= 0 && pagescan_registry_open(target->registry, uffd) == 0)
		return true;
	pagescan_process_close(target->process);
	child_end(&target->child);
	return false;
}

static inline void target_tell(struct target *target, char what)
{
	child_say(target->child.fd, what);
	assert_int_equal(child_hear(target->child.fd), what);
}

static inline void target_close(struct target *target)
{
	pagescan_process_close(target->process);
	child_end(&target->child);
}

#define open_or_skip(target, lay_out)                                                              \
	do {                                                                                       \
		if (!target_open(target, lay_out))                                                 \
			skip_because("no userfaultfd with async write-protection here");           \
	} while (0)

static inline unsigned long long read_kib(struct target *target, const char *file, const char *key)
{
	char command[128];
	unsigned long long sum = 0, kib;
	FILE *output;

	snprintf(command, sizeof(command), "grep '^%s:' /proc/%d/%s", key, (int)target->child.pid,
		 file);
	output = popen(command, "r");
	while (fscanf(output, "%*s %llu kB\n", &kib) == 1)
		sum += kib;
	pclose(output);
	return sum;
}

#endif
