/* SPDX-License-Identifier: MIT */
#include "mode.h"

#include "scan/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Nothing is known of a kernel that could not be tried for want of memory or files: ask again. */
static enum pagescan_shim_mode find_mode(void)
{
	const char *text = getenv("PAGESCAN_SHIM");
	struct pagescan_probed can;

	if (text && strcmp(text, "force") == 0)
		return PAGESCAN_SHIM_ALL;
	if (text && strcmp(text, "force-scan") == 0)
		return PAGESCAN_SHIM_SCAN;
	if (pagescan_probe(&can) < 0)
		return PAGESCAN_SHIM_UNKNOWN;
	return can.capabilities.era == PAGESCAN_ERA_NONE ? PAGESCAN_SHIM_ALL
							 : PAGESCAN_SHIM_NOTHING;
}

enum pagescan_shim_mode pagescan_shim_mode(void)
{
	static int known;
	int mode = __atomic_load_n(&known, __ATOMIC_RELAXED), saved = errno;

	if (mode != PAGESCAN_SHIM_UNKNOWN)
		return (enum pagescan_shim_mode)mode;
	mode = (int)find_mode();
	errno = saved;
	__atomic_store_n(&known, mode, __ATOMIC_RELAXED);
	return (enum pagescan_shim_mode)mode;
}
