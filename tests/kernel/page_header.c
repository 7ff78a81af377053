/* quarry/page.h and what it includes, in strict C17. */
#include "quarry/page.h"

struct page* first_page(gfp_t gfp);
struct page* first_page(gfp_t gfp) {
  struct page* page = alloc_pages(gfp, 2);
  if (page) get_page(page);
  return page;
}
