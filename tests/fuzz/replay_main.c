/* replay_main.c - runs a fuzz target over the inputs in files and directories, without a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *path)
{
	static uint8_t input[1 << 20];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return -1;
	}
	size_t len = fread(input, 1, sizeof input, f);
	fclose(f);
	fprintf(stderr, "%s: %zu bytes\n", path, len);
	/* a copy of the exact size, so that a sanitizer sees what is read beyond */
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		return -1;
	for (size_t i = 0; i < len; i++)
		copy[i] = input[i];
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	return 1;
}

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;
	if (!dir)
		return replay_file(path);
	for (const struct dirent *e; (e = readdir(dir));) {
		char file[4096];
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		int r = replay(file);
		if (r < 0) {
			count = r;
			break;
		}
		count += r;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;
	for (int i = 1; i < argc; i++) {
		int r = replay(argv[i]);
		if (r < 0)
			return 1;
		count += r;
	}
	/* a target without a single input tests nothing */
	if (!count)
		fprintf(stderr, "no inputs\n");
	return count ? 0 : 1;
}
