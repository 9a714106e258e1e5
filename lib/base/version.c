/* SPDX-License-Identifier: MIT */
#include <pagescan/pagescan.h>

PAGESCAN_API const char *pagescan_version(void)
{
	return PAGESCAN_VERSION;
}
