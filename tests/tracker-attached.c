/* SPDX-License-Identifier: MIT */
/*
 * Another program writes known random pages, in memory of every kind, by several
 * threads, while its mappings are replaced, protected and given back; what is
 * collected must be just those pages, by the rules of pagescan/tracker.h.
 */
#include "watched.h"

#include <sys/uio.h>

#define N_ROUNDS 60

/* What the tracker must know of each page. */
struct model {
	unsigned char is_mapped[N_AREAS][PLAN_N_PAGES]; /* shared memory: seen before */
	unsigned char is_written[N_AREAS][PLAN_N_PAGES];
};

static bool is_shared(unsigned area)
{
	return area == AREA_SHARED || area == AREA_SHARED_FILE;
}

static void model_page(struct model *m, unsigned kind, unsigned area, size_t page)
{
	unsigned char *written = &m->is_written[area][page], *mapped = &m->is_mapped[area][page];

	switch (kind) {
	case OP_WRITE:
	case OP_SYSCALL:
		*written = 1;
		break;
	case OP_READ:
		/* The first read of a shared page cannot be told from a write. */
		if (is_shared(area) && !*mapped)
			*written = 1;
		break;
	case OP_GIVE_BACK:
		/* What was armed stays armed in shared memory (R10.6); what was not is gone. */
		if (*written)
			*mapped = 0;
		*written = 0;
		break;
	case OP_REPLACE:
		*written = *mapped = 0;
		break;
	}
}

static void model_op(struct model *m, const struct plan_op *op)
{
	size_t n =
		op->kind == OP_WRITE || op->kind == OP_READ || op->kind == OP_SYSCALL ? 1 : op->n;

	for (size_t i = 0; i < n; i++)
		model_page(m, op->kind, op->area, op->page + i);
}

static void model_collected(struct model *m)
{
	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < PLAN_N_PAGES; i++)
			m->is_mapped[area][i] |= m->is_written[area][i];
	}
	memset(m->is_written, 0, sizeof(m->is_written));
}

static struct plan_op random_access(uint64_t *random, unsigned thread, bool may_read)
{
	struct plan_op op = {
		.kind = test_random(random) % 8,
		.area = test_random(random) % N_AREAS,
		.page = test_random(random) % PLAN_N_PAGES,
		.n = test_random(random) % 4096,
	};

	if (op.kind > OP_SYSCALL || (op.kind == OP_READ && !may_read) || op.area == AREA_CODE)
		op.kind = OP_WRITE;
	/* The rights of code flicker while it is written: one thread a page. */
	if (op.area == AREA_CODE)
		op.page = op.page / PLAN_N_THREADS * PLAN_N_THREADS + thread;
	return op;
}

static struct plan_op random_change(uint64_t *random)
{
	struct plan_op op = {
		.kind = OP_GIVE_BACK + test_random(random) % 4,
		.area = test_random(random) % N_AREAS,
		.n = 1 + test_random(random) % 64,
	};

	op.page = test_random(random) % (PLAN_N_PAGES - 64);
	if (op.area == AREA_RESERVATION)
		op.n = 1;
	if (op.kind == OP_PROTECT && op.area == AREA_CODE)
		op.kind = OP_REPLACE;
	return op;
}

/* Accesses by all threads at once, or changes one after the other. */
static void run_step(struct writer *w, struct model *m, uint64_t *random, uint32_t n,
		     bool is_access, bool may_read)
{
	struct plan *plan = w->plan;

	plan->n_ops = n;
	plan->n_threads = is_access ? PLAN_N_THREADS : 1;
	for (uint32_t i = 0; i < n; i++) {
		plan->ops[i] = is_access ? random_access(random, i % PLAN_N_THREADS, may_read)
					 : random_change(random);
		model_op(m, &plan->ops[i]);
	}
	tell(w, COMMAND_STEP);
}

/* Shared memory is only read while it is tracked: before, a read maps neighbours, too (R10.3). */
static void run_round(struct writer *w, struct model *m, uint64_t *random, bool is_tracked)
{
	run_step(w, m, random, test_random(random) % 2000, true, is_tracked);
	run_step(w, m, random, test_random(random) % 8, false, false);
	run_step(w, m, random, test_random(random) % 200, true, false);
}

/* What was reported, and pages of the reservation that nobody ever asked for. */
struct collected {
	unsigned char has[N_AREAS][PLAN_N_PAGES];
	size_t n_astray;
};

static void note_page(const struct plan *plan, struct collected *c, uint64_t address)
{
	for (unsigned area = 0; area < N_AREAS; area++) {
		uint64_t offset = address - plan->base[area], stride = plan->stride[area];

		if (address < plan->base[area] || offset >= plan->n_pages[area] * stride)
			continue;
		if (offset % stride)
			c->n_astray++;
		else
			c->has[area][offset / stride] = 1;
	}
}

static int note_region(const struct pagescan_region *region, void *arg)
{
	struct {
		const struct plan *plan;
		struct collected *c;
	} *to = arg;

	for (uint64_t at = region->start; at < region->end; at += page_bytes())
		note_page(to->plan, to->c, at);
	return region->categories == PAGESCAN_IS_WRITTEN ? 0 : -1;
}

static void collect(struct writer *w, struct collected *c)
{
	struct {
		const struct plan *plan;
		struct collected *c;
	} to = {w->plan, c};

	memset(c, 0, sizeof(*c));
	assert_int_equal(
		pagescan_tracker_visit(w->tracker, PAGESCAN_COLLECT_REARM, note_region, &to), 0);
}

/* How many pages are wrong. */
static size_t check(const struct model *m, const struct collected *c)
{
	size_t n_wrong = c->n_astray;

	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < PLAN_N_PAGES; i++) {
			if (c->has[area][i] == m->is_written[area][i])
				continue;
			if (n_wrong++ < 8)
				printf("# area %u page %zu: %s\n", area, i,
				       m->is_written[area][i] ? "written, but lost"
							      : "reported, but not written");
		}
	}
	return n_wrong;
}

static size_t count_written(const struct model *m)
{
	size_t n = 0;

	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < PLAN_N_PAGES; i++)
			n += m->is_written[area][i];
	}
	return n;
}

/* A check that cannot fail proves nothing: lose one page that was written, put in one that was not.
 */
static void check_the_check(const struct model *m, struct collected *c, uint64_t *random)
{
	bool has_lost = false, has_added = false;

	printf("# planted:\n");
	while (!has_lost || !has_added) {
		unsigned area = test_random(random) % N_AREAS;
		size_t page = test_random(random) % PLAN_N_PAGES;
		bool *done = m->is_written[area][page] ? &has_lost : &has_added;

		if (*done)
			continue;
		*done = true;
		c->has[area][page] ^= 1;
		assert_int_equal(check(m, c), 1);
		c->has[area][page] ^= 1;
	}
}

static void watch_rounds(uint32_t flags)
{
	static struct model m;
	static struct collected c;
	uint64_t random = test_seed();
	size_t n_written = 0;
	struct writer w;

	memset(&m, 0, sizeof(m));
	start_program(&w, "writer");
	run_round(&w, &m, &random, false);
	watch(&w, flags);
	for (unsigned area = 0; area < N_AREAS && !(flags & PAGESCAN_TRACKER_ALL); area++)
		assert_int_equal(pagescan_tracker_add(w.tracker, w.plan->base[area],
						      w.plan->n_pages[area] * w.plan->stride[area]),
				 0);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	model_collected(&m);
	for (int round = 0; round < N_ROUNDS; round++) {
		run_round(&w, &m, &random, true);
		collect(&w, &c);
		assert_int_equal(check(&m, &c), 0);
		if (round % 20 == 0 && count_written(&m) > 0)
			check_the_check(&m, &c, &random);
		n_written += count_written(&m);
		model_collected(&m);
	}
	collect(&w, &c);
	assert_int_equal(check(&m, &c), 0);
	printf("# %zu pages written in %d rounds\n", n_written, N_ROUNDS);
	unwatch(&w);
	end_program(&w);
}

static void test_all_mappings(void **state)
{
	watch_rounds(PAGESCAN_TRACKER_ALL);
}

static void test_named_ranges(void **state)
{
	watch_rounds(0);
}

/* The test's own copy of a page, read whenever it was reported. */
static unsigned char *shadow[N_AREAS];

static void copy_page(const struct writer *w, unsigned area, size_t page)
{
	struct iovec to = {shadow[area] + page * page_bytes(), page_bytes()};
	struct iovec from = {
		(void *)(uintptr_t)(w->plan->base[area] + page * w->plan->stride[area]),
		page_bytes()};

	assert_int_equal(process_vm_readv(w->child.pid, &to, 1, &from, 1, 0), page_bytes());
}

static void copy_reported(struct writer *w, struct collected *c)
{
	collect(w, c);
	assert_int_equal(c->n_astray, 0);
	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < PLAN_N_PAGES; i++) {
			if (!c->has[area][i])
				continue;
			/* Nobody writes every eighth page. */
			assert_int_not_equal(i % 8, 0);
			copy_page(w, area, i);
		}
	}
}

static size_t count_stale(struct writer *w)
{
	unsigned char *now = map_anon(1);
	size_t n = 0;

	for (unsigned area = 0; area < N_AREAS; area++) {
		for (size_t i = 0; i < PLAN_N_PAGES; i++) {
			unsigned char *mine = shadow[area] + i * page_bytes();

			memcpy(now, mine, page_bytes());
			copy_page(w, area, i);
			if (memcmp(now, mine, page_bytes()) == 0)
				continue;
			if (n++ < 8)
				printf("# area %u page %zu: its last write was lost\n", area, i);
		}
	}
	munmap(now, page_bytes());
	return n;
}

/*
 * Threads write without a pause while the pages are collected and copied. If one
 * write were lost for good, its page would differ from the copy at the end.
 */
static void test_writing_while_collecting(void **state)
{
	static struct collected c;
	struct writer w;

	start_program(&w, "writer");
	w.plan->seed = test_seed();
	watch(&w, PAGESCAN_TRACKER_ALL);
	assert_int_equal(pagescan_tracker_arm(w.tracker), 0);
	for (unsigned area = 0; area < N_AREAS; area++) {
		shadow[area] = map_anon(PLAN_N_PAGES);
		for (size_t i = 0; i < PLAN_N_PAGES; i++)
			copy_page(&w, area, i);
	}
	/* Reading from outside populates shared memory, which counts. */
	collect(&w, &c);
	tell(&w, COMMAND_RACE);
	for (int round = 0; round < 20; round++)
		copy_reported(&w, &c);
	w.plan->must_stop = 1;
	tell(&w, COMMAND_JOIN);
	copy_reported(&w, &c);
	printf("# %llu writes\n", (unsigned long long)w.plan->n_written);
	assert_int_equal(count_stale(&w), 0);
	for (unsigned area = 0; area < N_AREAS; area++)
		munmap(shadow[area], PLAN_N_PAGES * page_bytes());
	unwatch(&w);
	end_program(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_mappings),
		cmocka_unit_test(test_named_ranges),
		cmocka_unit_test(test_writing_while_collecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
