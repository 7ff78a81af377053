#include "page/block.h"

#include "base/format.h"
#include "os/fatal.h"
#include "page/highmem.h"
#include "page/page_alloc.h"
#include "page/vmalloc.h"
#include "page/zones.h"

namespace quarry {

namespace {

std::atomic_ref<u32> count_of(page* head) {
  return std::atomic_ref(head->count);
}

QUARRY_ALWAYS_INLINE bool is_block(const zone* z, const page* p) {
  return z && p->kind == page_kind::block && !z->space().is_in_slab(p);
}

// The page is no head of a block in use: says why, and aborts.
[[noreturn]] QUARRY_NOINLINE void report(page* p, const char* call) {
  const zone* z = zone_of(p);
  if (vm_address_of(p)) os::die(call, p, "a page of vmalloc, which goes with its block");
  if (!z) os::die(call, p, "not a page of this allocator");
  page* head = p;
  while (head > z->space().map && head->kind == page_kind::none && !z->space().is_in_slab(head))
    head--;
  if (z->space().is_in_slab(head)) os::die(call, p, "not a page block");
  const auto distance = static_cast<std::size_t>(p - head);
  const std::size_t pages = std::size_t{1} << head->order;
  const bool is_free = head->kind == page_kind::free_block || head->kind == page_kind::cached;
  if (is_free && distance < pages) os::die(call, p, "already free");
  if (head->kind == page_kind::block && distance < pages) {
    os::die(call, p, "inside a page block that begins at", head);
  }
  os::die(call, p, "not a page block");
}

[[noreturn]] void report_order(page* head, unsigned order, const char* call) {
  text reason;
  reason << "a block of order " << u64{head->order} << ", not of order " << u64{order} << '\0';
  os::die(call, head, reason.data());
}

QUARRY_ALWAYS_INLINE void set_block(page* p, unsigned order, gfp_t gfp) {
  p->order = static_cast<u8>(order);
  p->tag = static_cast<u16>(gfp & __GFP_WAIT);
  count_of(p).store(1, std::memory_order_relaxed);
  p->kind = page_kind::block;
}

QUARRY_NOINLINE page* alloc_slow(gfp_t gfp, unsigned order, unsigned node) {
  bool clean;
  page* head = get_free_pages(gfp, order, node, &clean);
  if (head) set_block(head, order, gfp);
  return head;
}

// The zone of a page that is the head of a block in use.
QUARRY_ALWAYS_INLINE zone* check_block(page* p, const char* call) {
  zone* z = zone_of(p);
  if (!is_block(z, p)) report(p, call);
  return z;
}

QUARRY_ALWAYS_INLINE void put_checked(zone* z, page* head, const char* call) {
  // Pairs with itself: whoever frees the block comes after all that others did with it. Who has the
  // only reference has nobody to exclude.
  if (count_of(head).load(std::memory_order_acquire) != 1) {
    const u32 before = count_of(head).fetch_sub(1, std::memory_order_acq_rel);
    if (before == 0) os::die(call, head, "already free");
    if (before != 1) return;
  }
  if (z->kind() == zone_kind::highmem) check_unmapped(head, head->order, call);
  const unsigned order = head->order;
  if (z == &normal_zone && order <= max_listed_order && try_list(head, order)) return;
  put_free_pages(z, head, order, head->tag & __GFP_WAIT);
}

}  // namespace

page* alloc_block(gfp_t gfp, unsigned order, unsigned node) {
  constexpr gfp_t more = __GFP_DMA | __GFP_HIGHMEM | __GFP_ZERO;
  page* head = nullptr;
  if (order <= max_listed_order && node == 0 && !(gfp & more)) head = try_listed(order);
  if (!head) return alloc_slow(gfp, order, node);
  set_block(head, order, gfp);
  return head;
}

page* alloc_single_pages(gfp_t gfp, std::size_t pages, unsigned node) {
  const unsigned order = order_of_pages(pages);
  page* head = alloc_block(gfp, order, node);
  if (!head) return nullptr;
  split_block(head, order, "alloc_pages_exact");
  for (std::size_t i = pages; i < std::size_t{1} << order; i++)
    put_block(head + i, "alloc_pages_exact");
  return head;
}

void get_block(page* p, const char* call) {
  check_block(p, call);
  count_of(p).fetch_add(1, std::memory_order_relaxed);
}

void put_block(page* p, const char* call) {
  put_checked(check_block(p, call), p, call);
}

void free_block(page* p, unsigned order, const char* call) {
  zone* z = check_block(p, call);
  if (p->order != order) report_order(p, order, call);
  put_checked(z, p, call);
}

void split_block(page* p, unsigned order, const char* call) {
  check_block(p, call);
  if (p->order != order) report_order(p, order, call);
  for (std::size_t i = 1; i < std::size_t{1} << order; i++)
    set_block(p + i, 0, p->tag);
  p->order = 0;
}

void check_in_block(page* p, const char* call) {
  const zone* z = zone_of(p);
  const std::size_t number = z ? z->space().number_of(p) : 0;
  for (unsigned order = 0; z && order <= max_order; order++) {
    const page* head = z->space().page_at(align_down(number, std::size_t{1} << order));
    if (is_block(z, head) && head->order >= order) return;
  }
  report(p, call);
}

unsigned references_of(const page* p) {
  if (!is_block(zone_of(p), p)) return 0;
  return std::atomic_ref(const_cast<page*>(p)->count).load(std::memory_order_relaxed);
}

page* block_at(const void* address) {
  page* p = page_at_address(address);
  const bool begins = p && reinterpret_cast<uptr>(address) % page_size == 0;
  return begins && p->kind == page_kind::block ? p : nullptr;
}

}  // namespace quarry
