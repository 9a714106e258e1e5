/* SPDX-License-Identifier: MIT */
#include <pagescan/base.h>

static const char *const names[] = {
	"wpallowed", "written", "file",       "present", "swapped",
	"pfnzero",   "huge",    "soft_dirty", "guard",   "accessed",
};

const char *pagescan_category_name(uint64_t category)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (category == UINT64_C(1) << i)
			return names[i];
	}
	return NULL;
}
