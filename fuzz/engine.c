/* SPDX-License-Identifier: MIT */
/*
 * A model that goes through anything, and scans with any argument: nothing is
 * written outside of what the vector may hold, and what is, makes sense.
 */
#include "fuzz.h"

#include <pagescan/model.h>
#include <string.h>

#define PAGE    UINT64_C(4096)
#define BASE    (UINT64_C(1) << 30)
#define N_PAGES 1100
#define N_VEC   600
#define CANARY  0xa5

/* The kernel's struct pm_scan_arg. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

struct input {
	const uint8_t *data;
	size_t size;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t value = 0;

	if (n > in->size)
		n = in->size;
	memcpy(&value, in->data, n);
	in->data += n;
	in->size -= n;
	return value;
}

static uint64_t take_address(struct input *in)
{
	return BASE + take(in, 2) % N_PAGES * PAGE;
}

static void change(struct input *in, struct pagescan_model *model)
{
	uint64_t kind = take(in, 1), start = take_address(in);
	uint64_t length = (1 + take(in, 2) % N_PAGES) * PAGE;

	switch (kind % 13) {
	case 0:
		(void)pagescan_model_map(model, start, length,
					 (uint32_t)(kind / 13 % 6) |
						 (kind & 128 ? PAGESCAN_MODEL_HUGEPAGE : 0),
					 1, 0);
		break;
	case 1:
		(void)pagescan_model_unmap(model, start, length);
		break;
	case 2:
		(void)pagescan_model_register(model, start, length,
					      (enum pagescan_model_mode)(kind / 13 % 4));
		break;
	case 3:
		(void)pagescan_model_unregister(model, start, length);
		break;
	case 4:
		(void)pagescan_model_write_protect(model, start, length, kind & 128);
		break;
	case 5:
		(void)pagescan_model_read(model, start);
		break;
	case 6:
		(void)pagescan_model_write(model, start);
		break;
	case 7:
		(void)pagescan_model_swap_out(model, start, length);
		break;
	case 8:
		(void)pagescan_model_dontneed(model, start, length);
		break;
	case 9:
		(void)pagescan_model_guard_install(model, start, length);
		break;
	case 10:
		(void)pagescan_model_guard_remove(model, start, length);
		break;
	case 11:
		(void)pagescan_model_collapse(model, start / (512 * PAGE) * (512 * PAGE));
		break;
	case 12:
		(void)pagescan_model_move(model, start, length, take_address(in));
	}
}

/* Ascending, apart or different, in the range, and nothing behind them. */
static void check_regions(const struct scan_arg *arg, const uint8_t *bytes, int n)
{
	const struct pagescan_region *vec = (const void *)bytes;
	uint64_t at = arg->start, end = (arg->end + PAGE - 1) / PAGE * PAGE;

	fuzz_assert((uint64_t)n <= arg->vec_len);
	for (int i = 0; i < n; i++) {
		fuzz_assert(vec[i].start >= at && vec[i].end > vec[i].start && vec[i].end <= end);
		fuzz_assert(!(vec[i].categories & ~arg->returned));
		at = vec[i].end;
	}
	fuzz_assert(arg->walk_end >= arg->start && arg->walk_end <= end);
}

static void scan(struct input *in, struct pagescan_model *model)
{
	static uint8_t bytes[N_VEC * sizeof(struct pagescan_region) + 64];
	size_t room = N_VEC * sizeof(struct pagescan_region);
	struct scan_arg arg = {.size = 96};
	uint64_t odd = take(in, 1);
	int n;

	arg.flags = take(in, 1) % 4;
	arg.start = take_address(in);
	arg.end = arg.start + take(in, 3);
	arg.vec_len = take(in, 2) % (N_VEC + 1);
	arg.vec = (uintptr_t)bytes;
	arg.max_pages = take(in, 2);
	arg.inverted = take(in, 2) & 0x1ff;
	arg.mask = take(in, 2) & 0x1ff;
	arg.anyof = take(in, 2) & 0x1ff;
	arg.returned = take(in, 2) & 0x1ff;
	/* One field is anything, but a vec that names our own memory. */
	if (odd % 4 == 0 && odd / 4 % 12 != 5)
		(&arg.size)[odd / 4 % 12] = take(in, 8);
	if (arg.vec_len > N_VEC)
		arg.vec = take(in, 1);
	memset(bytes, CANARY, sizeof(bytes));
	n = pagescan_model_scan(model, &arg);
	for (size_t i = 0; i < 64; i++)
		fuzz_assert(bytes[room + i] == CANARY);
	if (n >= 0)
		check_regions(&arg, bytes, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct pagescan_model_opts opts = {.size = sizeof(opts)};
	struct pagescan_model *model, *child;

	opts.era = (enum pagescan_era)(1 + take(&in, 1) % 3);
	if (pagescan_model_new(&opts, &model) < 0)
		return 0;
	while (in.size > 0) {
		if (take(&in, 1) % 3)
			change(&in, model);
		else
			scan(&in, model);
	}
	if (pagescan_model_fork(model, &child) == 0)
		pagescan_model_free(child);
	pagescan_model_free(model);
	return 0;
}
