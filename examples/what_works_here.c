/* SPDX-License-Identifier: MIT */
/* What can the running kernel do? Found by trying it. */
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	static const char *const eras[] = {"none", "1", "2", "3"};
	struct pagescan_capabilities can;
	struct pagescan_description scans = {.categories = 0};
	int r = pagescan_scan_probe(&can);

	if (r < 0) {
		fprintf(stderr, "what_works_here: %s\n", strerror(-r));
		return 1;
	}
	if (pagescan_scan_describe(PAGESCAN_OPERATION_AUTO, &scans, NULL) < 0)
		printf("scanning:        no\n");
	else if (scans.operation == PAGESCAN_OPERATION_KERNEL)
		printf("scanning:        yes\n");
	else
		printf("scanning:        yes, without the kernel's PAGEMAP_SCAN\n");
	printf("write tracking:  %s\n", can.has_wp_async ? "yes" : "no");
	printf("era of WRITTEN:  %s\n", eras[scans.era]);
	printf("categories:     ");
	for (uint64_t bit = 1; bit; bit <<= 1)
		if (scans.categories & bit)
			printf(" %s", pagescan_category_name(bit));
	printf("\n");
	return 0;
}
