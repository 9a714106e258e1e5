/* SPDX-License-Identifier: MIT */
/* Any text as a filter expression: it is read or refused, and means one thing. */
#include "fuzz.h"

#include <pagescan/scan.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct pagescan_error error = {0};
	struct pagescan_expr *expr;
	int r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	r = pagescan_expr_parse(text, &expr, &error);
	free(text);
	if (r < 0) {
		fuzz_assert(error.code == r && memchr(error.text, 0, sizeof(error.text)));
		fuzz_assert(error.text[0]);
		return 0;
	}
	/* What it does not depend on, does not matter. */
	for (uint64_t row = 0; row < 1024; row++)
		fuzz_assert(pagescan_expr_matches(expr, row) ==
			    pagescan_expr_matches(expr, row & pagescan_expr_get_categories(expr)));
	pagescan_expr_free(expr);
	return 0;
}
