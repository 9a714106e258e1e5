/* SPDX-License-Identifier: MIT */
/* The reader of /proc/PID/maps, with texts that no kernel here writes. */
#include "base/system.h"
#include "walk.h"

#define MIB (UINT64_C(1) << 20)

/* A directory that looks like one of /proc, and a reader of it. */
struct made_up {
	char directory[32];
	int dir_fd;
	struct pagescan_maps_reader *reader;
};

static void write_file(int dir_fd, const char *name, const char *text, size_t length)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static struct made_up made_up_open(const char *maps, size_t length, const char *smaps)
{
	struct made_up made_up = {.directory = "/tmp/pagescan-test.XXXXXX"};

	assert_non_null(mkdtemp(made_up.directory));
	made_up.dir_fd = open(made_up.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	write_file(made_up.dir_fd, "maps", maps, length);
	write_file(made_up.dir_fd, "smaps", smaps, strlen(smaps));
	assert_int_equal(
		pagescan_maps_reader_open(made_up.dir_fd, PAGESCAN_MAPS_AUTO, &made_up.reader), 0);
	return made_up;
}

static void made_up_close(struct made_up *made_up)
{
	pagescan_maps_reader_close(made_up->reader);
	unlinkat(made_up->dir_fd, "maps", 0);
	unlinkat(made_up->dir_fd, "smaps", 0);
	close(made_up->dir_fd);
	rmdir(made_up->directory);
}

static void test_text_page_sizes(void **state)
{
	static const char maps[] =
		"10000000-10200000 rw-p 00000000 00:00 0 \n"
		"20000000-20200000 rw-s 00000000 00:0f 77                   /anon_hugepage "
		"(deleted)\n"
		"30000000-30200000 rw-p 00000000 fe:00 78                   /usr/lib/x\n"
		"40000000-40200000 rw-s 00200000 00:0f 79                   /anon_hugepage "
		"(deleted)\n"
		"50000000-50200000 rw-s 00000000 00:01 80                   /memfd:x\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]\n";
	/* Where there may be no huge page, it lies: it is not asked. */
	static const char smaps[] =
		"10000000-10200000 rw-p 00000000 00:00 0 \nSize: 2048 kB\nKernelPageSize: 64 kB\n"
		"20000000-20200000 rw-s 00000000 00:0f 77  /anon_hugepage (deleted)\n"
		"AnonHugePages: 0 kB\nKernelPageSize:     2048 kB\nMMUPageSize: 4 kB\n"
		"30000000-30200000 rw-p 00000000 fe:00 78  /usr/lib/x\nKernelPageSize: 64 kB\n"
		"40000000-40200000 rw-s 00200000 00:0f 79  /anon_hugepage (deleted)\n"
		"KernelPageSize:     64 kB\n"
		"50000000-50200000 rw-s 00000000 00:01 80  /memfd:x\nKernelPageSize: 4 kB\n";
	struct made_up made_up = made_up_open(maps, strlen(maps), smaps);
	struct walk walk = walk_all(made_up.reader);

	assert_int_equal(walk.n, 5);
	assert_int_equal(walk.mappings[0].page_size, pagescan_page_size());
	assert_int_equal(walk.mappings[1].page_size, 2 * MIB);
	assert_int_equal(walk.mappings[2].page_size, pagescan_page_size());
	/* Of a file system that is known already. */
	assert_int_equal(walk.mappings[3].page_size, 2 * MIB);
	assert_int_equal(walk.mappings[4].page_size, 4096);
	walk_free(&walk);
	made_up_close(&made_up);
}

static void test_text_malformed(void **state)
{
	static const char *const lines[] = {
		"",
		"x",
		"1000-2000",
		"1000-2000 rw-p 0 0:0",
		"1000-2000 rwxp 0 0:0 x",
		"1000 2000 rwxp 0 0:0 0 ",
		"1000-2000 rwzp 0 0:0 0 ",
		"1000-2000 rw-pp 0 0:0 0 ",
		"-2000 rw-p 0 0:0 0 ",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct pagescan_mapping answer;
		struct made_up made_up;
		char text[200];

		snprintf(text, sizeof(text), "0-1000 rw-p 0 0:0 0 \n%s\n3000-4000 rw-p 0 0:0 0 ",
			 lines[i]);
		made_up = made_up_open(text, strlen(text), "");
		assert_int_equal(pagescan_maps_reader_find(made_up.reader, 0, &answer), 1);
		assert_int_equal(pagescan_maps_reader_find(made_up.reader, 0x1000, &answer),
				 -EBADMSG);
		assert_int_equal(pagescan_maps_reader_find(made_up.reader, 0x1000, &answer),
				 -EBADMSG);
		made_up_close(&made_up);
	}
}

static void test_text_long_lines(void **state)
{
	static char text[300000];
	struct made_up made_up;
	struct walk walk;
	size_t length = 0;

	for (uint64_t i = 1; i < 12; i++) {
		length += (size_t)sprintf(text + length, "%llx-%llx r--p 0 1:1 %llu   /",
					  (unsigned long long)i << 12,
					  (unsigned long long)(i + 1) << 12, (unsigned long long)i);
		memset(text + length, 'n', i * 4000);
		length += i * 4000;
		/* The last one without a newline. */
		if (i < 11)
			text[length++] = '\n';
	}
	made_up = made_up_open(text, length, "");
	walk = walk_all(made_up.reader);
	assert_int_equal(walk.n, 11);
	for (uint64_t i = 1; i < 12; i++) {
		assert_int_equal(walk.mappings[i - 1].start, i << 12);
		assert_int_equal(walk.mappings[i - 1].inode, i);
		assert_int_equal(strlen(walk.mappings[i - 1].name), 1 + i * 4000);
	}
	walk_free(&walk);
	made_up_close(&made_up);
}

/* Whatever stands there, it is read to its end, in order, without harm. */
static void test_text_random(void **state)
{
	static const char alphabet[] = "0123456789abcdef- :rwxps\n\n/[]A";
	uint64_t random = test_seed();

	for (int round = 0; round < 300; round++) {
		char text[2000];
		struct made_up made_up;
		struct pagescan_mapping answer = {0};
		size_t length = 0;
		int r;

		while (length < 1800) {
			uint64_t start = length << 12;

			length += (size_t)sprintf(text + length, "%llx-%llx r--p 0 0:1 1 /x\n",
						  (unsigned long long)start,
						  (unsigned long long)start + 4096);
		}
		for (int i = 0; i < round % 8; i++)
			text[test_random(&random) % length] =
				alphabet[test_random(&random) % (sizeof(alphabet) - 1)];
		made_up = made_up_open(text, length, text);
		do {
			r = pagescan_maps_reader_find(made_up.reader, answer.end, &answer);
		} while (r == 1);
		assert_true(r == 0 || r == -EBADMSG);
		made_up_close(&made_up);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_page_sizes),
		cmocka_unit_test(test_text_malformed),
		cmocka_unit_test(test_text_long_lines),
		cmocka_unit_test(test_text_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
