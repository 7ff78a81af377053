#include "page/gfp.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/format.h"
#include "os/file.h"
#include "os/thread.h"
#include "page/highmem.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "page/zones.h"

namespace quarry {

namespace {

// Failures are reported so many times, as the kernel limits its messages.
constexpr unsigned most_reports = 10;
constinit std::atomic<unsigned> reports{0};

struct request {
  gfp_t gfp;
  unsigned order;
  unsigned node;
  zone_kind lowest;
};

zone_kind highest_zone(gfp_t gfp) {
  if (gfp & __GFP_DMA) return zone_kind::dma;
  return gfp & __GFP_HIGHMEM ? zone_kind::highmem : zone_kind::normal;
}

reserve depth_of(gfp_t gfp) {
  if (!(gfp & __GFP_HIGH)) return reserve::keep;
  return gfp & __GFP_WAIT ? reserve::urgent : reserve::atomic;
}

bool is_listed(const zone* z, unsigned order) {
  return z == &normal_zone && order <= max_listed_order;
}

// The first pass over the zones: those may grow.
page* allocate(const request& r, bool* clean) {
  const std::size_t pages = std::size_t{1} << r.order;
  const zone_list list = zones_for(highest_zone(r.gfp), r.lowest, r.node, true);
  for (unsigned i = 0; i < list.count; i++) {
    zone* z = list.zones[i];
    page* head = is_listed(z, r.order)
                     ? refill_listed(r.order, depth_of(r.gfp))
                     : z->allocate(pages, pages, clean, depth_of(r.gfp), list.protect[i]);
    if (head) return head;
  }
  return nullptr;
}

page* allocate_briefly(const request& r, bool* clean) {
  const zone_list list = zones_for(highest_zone(r.gfp), r.lowest, r.node, false);
  for (unsigned i = 0; i < list.count; i++) {
    page* head = list.zones[i]->allocate_briefly(r.order, clean, depth_of(r.gfp), list.protect[i]);
    if (head) return head;
  }
  return nullptr;
}

// A page without an address is made zero by the system, which those who may not wait cannot ask.
bool make_zero(page* head, unsigned order, bool may_wait) {
  const zone* z = zone_of(head);
  if (z->kind() == zone_kind::highmem) return may_wait && zero_highmem(head, order);
  std::memset(z->space().address_of(head), 0, page_size << order);
  return true;
}

void report_failure(const request& r) {
  if (r.gfp & __GFP_NOWARN || reports.fetch_add(1, std::memory_order_relaxed) >= most_reports)
    return;
  text line;
  line << "quarry: page allocation failure: order:" << u64{r.order} << ", mode:";
  line.address(reinterpret_cast<void*>(uptr{r.gfp})) << '\n';
  os::write_all(2, line.view());
}

page* allocate_waiting(const request& r, bool* clean) {
  for (;;) {
    if (page* head = allocate(r, clean)) return head;
    if (!(r.gfp & __GFP_NORETRY)) {
      reclaim_everything();
      if (page* head = allocate(r, clean)) return head;
    }
    if (!(r.gfp & __GFP_NOFAIL)) break;
    os::sleep_ms(retry_ms);
  }
  report_failure(r);
  return nullptr;
}

}  // namespace

page* get_free_pages(gfp_t gfp, unsigned order, unsigned node, bool* clean, zone_kind lowest) {
  *clean = false;
  if (order > max_order) return nullptr;
  const bool may_wait = gfp & __GFP_WAIT;
  page* head = nullptr;
  // The lists hold pages of node 0 alone.
  if (!(gfp & (__GFP_DMA | __GFP_HIGHMEM)) && node == 0 && order <= max_listed_order) {
    head = pop_listed(order, !may_wait);
  }
  if (!head) {
    keep_reserves();
    const request r = {gfp, order, node, lowest};
    head = may_wait ? allocate_waiting(r, clean) : allocate_briefly(r, clean);
  }
  if (head && gfp & __GFP_ZERO && !*clean && !make_zero(head, order, may_wait)) {
    put_free_pages(zone_of(head), head, order, may_wait);
    return get_free_pages(gfp & ~__GFP_HIGHMEM, order, node, clean, lowest);
  }
  return head;
}

void put_free_pages(zone* z, page* head, unsigned order, bool may_wait) {
  if (z == &normal_zone)
    return may_wait ? free_pages(head, order) : free_pages_briefly(head, order);
  if (!may_wait) return z->free_briefly(head, order);
  z->free(head, std::size_t{1} << order, false);
  reclaim_if_much_is_free();
}

page* get_free_run(gfp_t gfp, std::size_t pages, unsigned node, bool* clean, zone_kind lowest) {
  const unsigned order = order_of_pages(pages);
  page* head = get_free_pages(gfp, order, node, clean, lowest);
  if (!head) return nullptr;
  const std::size_t tail = (std::size_t{1} << order) - pages;
  if (tail) put_free_run(zone_of(head), head + pages, tail, gfp & __GFP_WAIT);
  return head;
}

// Without waiting a zone takes blocks of powers of two alone.
void put_free_run(zone* z, page* head, std::size_t pages, bool may_wait) {
  if (may_wait) {
    z->free(head, pages, false);
    return reclaim_if_much_is_free();
  }
  for (std::size_t at = z->space().number_of(head); pages != 0;) {
    const auto order = static_cast<unsigned>(
        std::min<std::size_t>(std::countr_zero(at), std::bit_width(pages) - 1));
    put_free_pages(z, z->space().page_at(at), order, false);
    at += std::size_t{1} << order;
    pages -= std::size_t{1} << order;
  }
}

}  // namespace quarry
