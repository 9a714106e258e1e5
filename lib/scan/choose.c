/* SPDX-License-Identifier: MIT */
#include "scan/choose.h"

#include "base/error.h"
#include "base/system.h"
#include "scan/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ACCESSED needs what no kernel without the operation has. */
#define ENGINE_CATEGORIES (PAGESCAN_ALL_CATEGORIES & ~PAGESCAN_IS_ACCESSED)

static int read_environment(enum pagescan_operation *wanted, struct pagescan_error *reterr)
{
	const char *text = secure_getenv("PAGESCAN_OPERATION");

	if (*wanted > PAGESCAN_OPERATION_ENGINE)
		return pagescan_error_set(reterr, -EINVAL, "there is no such operation: %d",
					  (int)*wanted);
	if (*wanted != PAGESCAN_OPERATION_AUTO || !text || !*text)
		return 0;
	if (strcmp(text, "kernel") == 0)
		*wanted = PAGESCAN_OPERATION_KERNEL;
	else if (strcmp(text, "engine") == 0)
		*wanted = PAGESCAN_OPERATION_ENGINE;
	else
		return pagescan_error_set(reterr, -EINVAL,
					  "the environment variable PAGESCAN_OPERATION is '%s': it "
					  "can be 'kernel' or 'engine'",
					  text);
	return 0;
}

/* Where user memory ends, nothing is read any more (R11.7). 0: there is no pagemap. */
static uint64_t find_memory_end(void)
{
	static _Atomic uint64_t known;
	uint64_t good = 0, bad = (UINT64_C(1) << 63) / pagescan_page_size(), entry;
	int fd;

	if (atomic_load(&known))
		return atomic_load(&known);
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (bad - good > 1) {
		uint64_t middle = good + (bad - good) / 2;

		if (pread(fd, &entry, sizeof(entry), (off_t)(middle * sizeof(entry))) > 0)
			good = middle;
		else
			bad = middle;
	}
	close(fd);
	atomic_store(&known, good ? bad * pagescan_page_size() : 0);
	return atomic_load(&known);
}

/*
 * The engine means what the kernel means, where that is sound. Else era 2, which is
 * what kernels mean that are kept up to date.
 */
static int choose_engine(struct pagescan_choice *ret, struct pagescan_error *reterr)
{
	struct pagescan_capabilities *can = &ret->can.capabilities;

	ret->operation = PAGESCAN_OPERATION_ENGINE;
	can->categories = can->era ? can->categories & ENGINE_CATEGORIES : ENGINE_CATEGORIES;
	if (can->era != PAGESCAN_ERA_3)
		can->era = PAGESCAN_ERA_2;
	if (!ret->can.memory_end)
		ret->can.memory_end = find_memory_end();
	if (!ret->can.memory_end)
		return pagescan_error_set(reterr, -EOPNOTSUPP,
					  "this kernel has no PAGEMAP_SCAN, and /proc/self/pagemap "
					  "cannot be read either");
	return 0;
}

int pagescan_operation_choose(enum pagescan_operation wanted, struct pagescan_choice *ret,
			      struct pagescan_error *reterr)
{
	int r = read_environment(&wanted, reterr);

	if (r < 0)
		return r;
	r = pagescan_probe(&ret->can);
	if (r < 0)
		return pagescan_error_set(reterr, r, "cannot find out what this kernel can do: %s",
					  strerror(-r));
	ret->is_forced = wanted != PAGESCAN_OPERATION_AUTO;
	ret->operation = PAGESCAN_OPERATION_KERNEL;
	if (wanted == PAGESCAN_OPERATION_ENGINE ||
	    (!ret->is_forced && ret->can.capabilities.era == PAGESCAN_ERA_NONE))
		return choose_engine(ret, reterr);
	if (ret->can.capabilities.era == PAGESCAN_ERA_NONE)
		return pagescan_error_set(
			reterr, -EOPNOTSUPP,
			"this kernel has no PAGEMAP_SCAN; Linux 6.7 and later do");
	return 0;
}
