/* SPDX-License-Identifier: MIT */
/* The two ways to walk mappings, against each other, over every kind of mapping. */
#include "base/system.h"
#include "child.h"
#include "process/process.h"
#include "walk.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define MIB          (UINT64_C(1) << 20)
#define HUGE         (2 * MIB)
#define PR_SET_VMA   0x53564d41
#define HUGETLB_2MIB (21 << 26)

static const struct pagescan_mapping *walk_find(const struct walk *walk, const void *address)
{
	for (size_t i = 0; i < walk->n; i++) {
		if (walk->mappings[i].start == (uintptr_t)address)
			return &walk->mappings[i];
	}
	fail_msg("no mapping at %p", address);
	return NULL;
}

/*
 * One of each kind, laid out by a child, which tells where. Addresses are
 * apart, so that no two become one.
 */
enum {
	ANON,
	NAMED,
	SHARED,
	MEMFD,
	FILE_PRIVATE,
	FILE_SHARED,
	FILE_READ_ONLY,
	FILE_DELETED,
	NEWLINE,
	ESCAPE,
	SPACES,
	PARENTHESES,
	NO_ACCESS,
	CODE,
	ZERO_DEVICE,
	N_KINDS
};

struct layout {
	void *at[N_KINDS];
	void *huge_private;
	void *huge_memfd;
	void *too_long;
};

static void *map(size_t length, int protection, int flags, int fd, off_t offset)
{
	static char *next = (char *)0x200000000000;
	char *at;

	next += 64 * MIB;
	at = mmap(next, length, protection, flags | MAP_FIXED_NOREPLACE, fd, offset);
	return at == MAP_FAILED ? NULL : at;
}

static void *map_file(const char *name, int protection, int flags, bool keep)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	if (fd < 0 || ftruncate(fd, 5 * 65536) < 0)
		_exit(3);
	at = map(2 * 65536, protection, flags, fd, 65536);
	close(fd);
	if (!keep)
		unlink(name);
	return at;
}

/* Its path is longer than PATH_MAX: the query cannot tell it. */
static void *map_too_long(void)
{
	char name[201];
	void *at;

	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 25; i++) {
		if ((mkdir(name, 0700) < 0 && errno != EEXIST) || chdir(name) < 0)
			return NULL;
	}
	at = map_file("file", PROT_READ, MAP_SHARED, false);
	for (int i = 0; i < 25; i++) {
		if (chdir("..") < 0 || rmdir(name) < 0)
			_exit(4);
	}
	return at;
}

static void lay_out(struct layout *layout)
{
	void **at = layout->at;
	int fd;

	at[ANON] = map(65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at[NAMED] = map(65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_VMA, 0, at[NAMED], 65536, "a name (deleted)");
	at[SHARED] = map(65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fd = memfd_create("mem fd", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, MIB) < 0)
		_exit(3);
	at[MEMFD] = map(65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 65536);
	close(fd);
	at[FILE_PRIVATE] = map_file("private", PROT_READ | PROT_WRITE, MAP_PRIVATE, true);
	at[FILE_SHARED] = map_file("shared", PROT_READ | PROT_WRITE, MAP_SHARED, true);
	at[FILE_READ_ONLY] = map_file("readonly", PROT_READ, MAP_SHARED, true);
	at[FILE_DELETED] = map_file("deleted", PROT_READ, MAP_PRIVATE, false);
	at[NEWLINE] = map_file("new\nline\n", PROT_READ, MAP_PRIVATE, true);
	at[ESCAPE] = map_file("back\\slash\\012 \\", PROT_READ, MAP_PRIVATE, true);
	at[SPACES] = map_file("  two  spaces  ", PROT_READ, MAP_PRIVATE, true);
	at[PARENTHESES] = map_file("odd (deleted)", PROT_READ, MAP_PRIVATE, true);
	at[NO_ACCESS] = map(256 * 1024 * MIB, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* The next one must not fall into it. */
	at[CODE] = mmap(NULL, 65536, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	at[ZERO_DEVICE] = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	for (int i = 0; i < N_KINDS; i++) {
		if (!at[i] || at[i] == MAP_FAILED)
			_exit(5);
	}
	if (sbrk(65536) == (void *)-1)
		_exit(6);
}

/* They may be not to be had; they need none of the pool as long as nobody touches them. */
static void lay_out_huge(struct layout *layout)
{
	int flags = MAP_NORESERVE | MAP_HUGETLB | HUGETLB_2MIB;
	int fd;
	void *at;

	at = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
		  0);
	layout->huge_private = at == MAP_FAILED ? NULL : at;
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | HUGETLB_2MIB);
	if (fd < 0)
		return;
	if (ftruncate(fd, 4 * (off_t)HUGE) == 0) {
		at = mmap(NULL, 2 * HUGE, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, HUGE);
		layout->huge_memfd = at == MAP_FAILED ? NULL : at;
	}
	close(fd);
}

static void live_in_layout(int fd, void *arg)
{
	struct layout layout = {0};

	if (chdir(arg) < 0)
		_exit(2);
	lay_out(&layout);
	lay_out_huge(&layout);
	layout.too_long = map_too_long();
	if (write(fd, &layout, sizeof(layout)) != sizeof(layout))
		_exit(1);
	child_hear(fd);
}

static void remove_directory(const char *directory)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

static void check_kinds(const struct walk *walk, const struct layout *layout)
{
	static const struct {
		int kind;
		uint32_t flags;
		enum pagescan_memory_kind memory;
		const char *name_end;
	} expected[] = {
		{ANON, 0x3, PAGESCAN_MEMORY_ANON, ""},
		{NAMED, 0x1, PAGESCAN_MEMORY_ANON, ""},
		{SHARED, 0xb, PAGESCAN_MEMORY_SHARED, "/dev/zero (deleted)"},
		{MEMFD, 0xb, PAGESCAN_MEMORY_SHARED, "/memfd:mem fd (deleted)"},
		{FILE_PRIVATE, 0x3, PAGESCAN_MEMORY_PRIVATE_FILE, "/private"},
		{FILE_SHARED, 0xb, PAGESCAN_MEMORY_SHARED, "/shared"},
		{FILE_READ_ONLY, 0x9, PAGESCAN_MEMORY_SHARED, "/readonly"},
		{FILE_DELETED, 0x1, PAGESCAN_MEMORY_PRIVATE_FILE, "/deleted (deleted)"},
		{NEWLINE, 0x1, PAGESCAN_MEMORY_PRIVATE_FILE, "/new\\012line\\012"},
		{ESCAPE, 0x1, PAGESCAN_MEMORY_PRIVATE_FILE, "/back\\slash\\012 \\"},
		{SPACES, 0x1, PAGESCAN_MEMORY_PRIVATE_FILE, "/  two  spaces  "},
		{PARENTHESES, 0x1, PAGESCAN_MEMORY_PRIVATE_FILE, "/odd (deleted)"},
		{NO_ACCESS, 0x0, PAGESCAN_MEMORY_ANON, ""},
		{CODE, 0x5, PAGESCAN_MEMORY_ANON, ""},
		{ZERO_DEVICE, 0x3, PAGESCAN_MEMORY_PRIVATE_FILE, "/dev/zero"},
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct pagescan_mapping *m = walk_find(walk, layout->at[expected[i].kind]);
		size_t length = strlen(m->name), end = strlen(expected[i].name_end);

		assert_int_equal(m->flags, expected[i].flags);
		assert_int_equal(pagescan_mapping_kind(m), expected[i].memory);
		assert_int_equal(m->page_size, pagescan_page_size());
		assert_true(length >= end);
		assert_string_equal(m->name + length - end, expected[i].name_end);
	}
	assert_int_equal(walk_find(walk, layout->at[MEMFD])->offset, 65536);
	assert_int_equal(walk_find(walk, layout->at[FILE_SHARED])->offset, 65536);
	assert_string_equal(walk_find(walk, layout->at[ANON])->name, "");
}

static void check_special(const struct walk *walk)
{
	int n_heap = 0, n_stack = 0, n_vdso = 0;

	for (size_t i = 0; i < walk->n; i++) {
		const struct pagescan_mapping *m = &walk->mappings[i];

		n_heap += strcmp(m->name, "[heap]") == 0;
		n_stack += strcmp(m->name, "[stack]") == 0;
		if (strcmp(m->name, "[heap]") == 0 || strcmp(m->name, "[stack]") == 0)
			assert_int_equal(pagescan_mapping_kind(m), PAGESCAN_MEMORY_ANON);
		if (strcmp(m->name, "[vdso]") == 0) {
			assert_int_equal(pagescan_mapping_kind(m), PAGESCAN_MEMORY_PRIVATE_FILE);
			n_vdso++;
		}
		assert_string_not_equal(m->name, "[vsyscall]");
	}
	assert_true(n_heap >= 1);
	assert_int_equal(n_stack, 1);
	printf("# %d vdso\n", n_vdso);
}

static void check_huge(const struct walk *walk, const struct layout *layout)
{
	if (layout->huge_private)
		assert_int_equal(walk_find(walk, layout->huge_private)->page_size, HUGE);
	if (layout->huge_memfd) {
		assert_int_equal(walk_find(walk, layout->huge_memfd)->page_size, HUGE);
		assert_int_equal(walk_find(walk, layout->huge_memfd)->offset, HUGE);
	}
	printf("# hugetlb: private %s, shared %s\n", layout->huge_private ? "yes" : "no",
	       layout->huge_memfd ? "yes" : "no");
}

static void test_every_kind_the_same(void **state)
{
	char directory[] = "/tmp/pagescan-test.XXXXXX";
	struct pagescan_maps_reader *text, *query;
	struct layout layout = {0};
	struct child child;
	struct walk walk;

	assert_non_null(mkdtemp(directory));
	child = child_start(live_in_layout, directory);
	assert_int_equal(read(child.fd, &layout, sizeof(layout)), sizeof(layout));
	text = open_reader(child.pid, PAGESCAN_MAPS_TEXT);
	query = open_reader(child.pid, PAGESCAN_MAPS_QUERY);
	walk = walk_all(text);
	check_kinds(&walk, &layout);
	check_special(&walk);
	check_huge(&walk, &layout);
	if (layout.too_long)
		assert_true(strlen(walk_find(&walk, layout.too_long)->name) > 5000);
	if (query) {
		struct walk queried = walk_all(query);

		assert_equal_walks(&walk, &queried);
		walk_free(&queried);
	}
	printf("# %zu mappings, query %s\n", walk.n, query ? "compared" : "not there");
	walk_free(&walk);
	pagescan_maps_reader_close(query);
	pagescan_maps_reader_close(text);
	child_end(&child);
	remove_directory(directory);
}

/* Own memory may change by the walking itself: a heap that grows. It does not go on growing. */
static void test_own_process(void **state)
{
	struct pagescan_maps_reader *text = open_reader(getpid(), PAGESCAN_MAPS_TEXT);
	struct pagescan_maps_reader *query = open_reader(getpid(), PAGESCAN_MAPS_QUERY);
	struct walk walks[2] = {{0}};

	if (!query)
		skip_because("no PROCMAP_QUERY here");
	for (int i = 0; i < 10; i++) {
		for (int w = 0; w < 2; w++) {
			walk_free(&walks[w]);
			walks[w] = walk_all(w ? query : text);
		}
	}
	assert_equal_walks(&walks[0], &walks[1]);
	walk_free(&walks[0]);
	walk_free(&walks[1]);
	pagescan_maps_reader_close(query);
	pagescan_maps_reader_close(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_the_same),
		cmocka_unit_test(test_own_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
