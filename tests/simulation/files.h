/* tests/simulation/files.h - folders of stores, copied as an operator would while nobody writes. */
#ifndef FLASHSALE_TESTS_SIMULATION_FILES_H
#define FLASHSALE_TESTS_SIMULATION_FILES_H

void file_copy(const char *from, const char *to); /* over what is there */
void folder_make(char *path, unsigned size);      /* a fresh one, in memory if the machine has that */
void folder_empty(const char *path);              /* with one level of folders in it */
void folder_remove(const char *path);

#endif
