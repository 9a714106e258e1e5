/* SPDX-License-Identifier: MIT */
/* Give a target the files of its corpus, where there is no fuzzer: replay FILE... */
#include "fuzz.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	static uint8_t data[1 << 16];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t n;

		if (!file) {
			perror(argv[i]);
			return 1;
		}
		n = fread(data, 1, sizeof(data), file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, n);
	}
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? 0 : 1;
}
