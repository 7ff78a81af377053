// The smallest C program with Quarry linked in: it names malloc and free alone, and so shows that
// these bring all of the family along, also where a linker picks members of an archive.

#include "check.h"

int main(void) {
  void* volatile block = malloc(1000);
  free(block);
  const int is_quarrys = free_is_quarrys();
  printf("malloc is Quarry's: %s\n", is_quarrys ? "true" : "false");
  return is_quarrys ? 0 : 1;
}
