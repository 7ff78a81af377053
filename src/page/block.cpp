#include "page/block.h"

#include "base/format.h"
#include "os/fatal.h"
#include "page/highmem.h"
#include "page/zones.h"

namespace quarry {

namespace {

// Of page::tag: allocated without __GFP_WAIT.
constexpr u16 allocated_briefly = 1;

std::atomic_ref<u32> count_of(page* head) {
  return std::atomic_ref(head->count);
}

// The page is no head of a block in use: says why, and aborts.
[[noreturn]] void report(page* p, const char* call) {
  const zone* z = zone_of(p);
  if (!z) os::die(call, p, "not a page of this allocator");
  page* head = p;
  while (head > z->space().map && head->kind == page_kind::none)
    head--;
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

void set_block(page* p, unsigned order, u16 tag) {
  p->order = static_cast<u8>(order);
  p->tag = tag;
  count_of(p).store(1, std::memory_order_relaxed);
  p->kind = page_kind::block;
}

}  // namespace

page* alloc_block(gfp_t gfp, unsigned order, unsigned node) {
  bool clean;
  page* head = get_free_pages(gfp, order, node, &clean);
  if (head) set_block(head, order, gfp & __GFP_WAIT ? 0 : allocated_briefly);
  return head;
}

page* checked_block(page* p, const char* call) {
  if (!zone_of(p) || p->kind != page_kind::block) report(p, call);
  return p;
}

void get_block(page* p, const char* call) {
  count_of(checked_block(p, call)).fetch_add(1, std::memory_order_relaxed);
}

void put_block(page* p, const char* call) {
  page* head = checked_block(p, call);
  // Pairs with itself: whoever frees the block comes after all that others did with it.
  const u32 before = count_of(head).fetch_sub(1, std::memory_order_acq_rel);
  if (before == 0) os::die(call, head, "already free");
  if (before != 1) return;
  if (zone_of(head)->kind() == zone_kind::highmem) check_unmapped(head, head->order, call);
  put_free_pages(head, head->order, !(head->tag & allocated_briefly));
}

void free_block(page* p, unsigned order, const char* call) {
  page* head = checked_block(p, call);
  if (head->order != order) report_order(head, order, call);
  put_block(head, call);
}

void split_block(page* p, unsigned order, const char* call) {
  page* head = checked_block(p, call);
  if (head->order != order) report_order(head, order, call);
  for (std::size_t i = 1; i < std::size_t{1} << order; i++)
    set_block(head + i, 0, head->tag);
  head->order = 0;
}

unsigned references_of(const page* p) {
  if (!zone_of(p) || p->kind != page_kind::block) return 0;
  return std::atomic_ref(const_cast<page*>(p)->count).load(std::memory_order_relaxed);
}

page* block_at(const void* address) {
  page* p = page_at_address(address);
  const bool begins = p && reinterpret_cast<uptr>(address) % page_size == 0;
  return begins && p->kind == page_kind::block ? p : nullptr;
}

}  // namespace quarry
