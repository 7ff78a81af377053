#include "page/page_alloc.h"

#include <algorithm>

#include "page/reclaim.h"
#include "percpu/array.h"

namespace quarry {

namespace {

// Bytes of free pages that one order's list may hold per CPU, and blocks that move at a time.
constexpr std::size_t list_bytes = 128 * kib;
constexpr unsigned batch = 8;

constexpr unsigned index_of(unsigned order) {
  return first_list_index + order;
}
constexpr unsigned order_of(unsigned index) {
  return index - first_list_index;
}

// In pieces, since every word on the stack counts: malloc runs on the smallest there are.
void flush(unsigned order, void** blocks, unsigned count) {
  constexpr unsigned most = 32;
  page* heads[most];
  for (unsigned done = 0; done < count; done += most) {
    const unsigned n = std::min(count - done, most);
    for (unsigned i = 0; i < n; i++)
      heads[i] = region.frames.page_of(blocks[done + i]);
    normal_zone.free_blocks(order, heads, n);
  }
}

// The list is full even after it grew, or has no room to grow: a batch goes back to the zone.
QUARRY_NOINLINE void free_slow(unsigned order, void* block) {
  const unsigned index = index_of(order);
  percpu::grow(index, percpu::miss::full);
  if (percpu::push(index, block)) return;
  void* blocks[batch + 1];
  unsigned taken = percpu::pop_batch(index, blocks, batch);
  if (!percpu::push(index, block)) blocks[taken++] = block;
  flush(order, blocks, taken);
  reclaim_if_much_is_free();
}

}  // namespace

void start_page_lists() {
  for (unsigned order = 0; order <= max_listed_order; order++) {
    const std::size_t bytes = page_size << order;
    percpu::declare(index_of(order), bytes, batch, static_cast<unsigned>(list_bytes / bytes) - 1);
  }
}

page* pop_listed(unsigned order, bool briefly) {
  void* block = briefly ? percpu::pop_briefly(index_of(order)) : percpu::pop(index_of(order));
  return block ? region.frames.page_of(block) : nullptr;
}

// The list is empty: takes a batch from the zone, keeps one block and lists the others.
page* refill_listed(unsigned order, reserve depth) {
  const unsigned index = index_of(order);
  page* heads[batch];
  // Without room for a list (there is none yet, or the thread has just migrated) one block will do.
  const unsigned room = percpu::grow(index, percpu::miss::empty);
  const unsigned taken =
      normal_zone.allocate_blocks(order, heads, std::clamp(room, 1u, batch), depth);
  reclaim_if_heap_grew();
  if (!taken) return nullptr;
  void* blocks[batch];
  for (unsigned i = 1; i < taken; i++) {
    note_listed(heads[i], order, heads[i]->count == 0);
    blocks[i] = region.frames.address_of(heads[i]);
  }
  const unsigned listed = 1 + percpu::push_batch(index, blocks + 1, taken - 1);
  if (listed < taken) normal_zone.free_blocks(order, heads + listed, taken - listed);
  return heads[0];
}

QUARRY_NOINLINE static page* alloc_slow(unsigned order) {
  if (page* head = refill_listed(order, reserve::use)) return head;
  reclaim_everything();
  return refill_listed(order, reserve::use);
}

page* alloc_pages(unsigned order, bool* clean) {
  if (order > max_listed_order)
    return alloc_run(std::size_t{1} << order, std::size_t{1} << order, clean);
  page* head = pop_listed(order, false);
  if (!head) head = alloc_slow(order);
  *clean = head && head->count == 0;
  return head;
}

void free_pages(page* head, unsigned order) {
  if (order > max_listed_order) return free_run(head, std::size_t{1} << order, false);
  note_listed(head, order, false);
  void* block = region.frames.address_of(head);
  if (!percpu::push(index_of(order), block)) free_slow(order, block);
}

void free_pages_briefly(page* head, unsigned order) {
  if (order <= max_listed_order) {
    note_listed(head, order, false);
    if (percpu::push_briefly(index_of(order), region.frames.address_of(head))) return;
  }
  normal_zone.free_briefly(head, order);
}

page* alloc_run(std::size_t pages, std::size_t alignment, bool* clean) {
  page* head = normal_zone.allocate(pages, alignment, clean);
  if (!head) {
    reclaim_everything();
    head = normal_zone.allocate(pages, alignment, clean);
  }
  reclaim_if_heap_grew();
  return head;
}

page* alloc_last_run(std::size_t pages, bool* clean) {
  page* head = normal_zone.allocate_last(pages, clean);
  reclaim_if_heap_grew();
  return head;
}

page* alloc_run_with_room(std::size_t pages, std::size_t room) {
  return normal_zone.allocate_with_room(pages, room);
}

bool extend_run(page* head, std::size_t pages, std::size_t wanted, bool may_grow) {
  const bool is_extended = normal_zone.extend(head, pages, wanted, may_grow);
  if (may_grow) reclaim_if_heap_grew();
  return is_extended;
}

void free_run(page* head, std::size_t pages, bool clean) {
  normal_zone.free(head, pages, clean);
  reclaim_if_much_is_free();
}

bool drain_page_list(unsigned index, void** blocks, unsigned count) {
  if (index < first_list_index) return false;
  flush(order_of(index), blocks, count);
  return true;
}

std::size_t listed_pages() {
  std::size_t pages = 0;
  for (unsigned order = 0; order <= max_listed_order; order++) {
    pages += percpu::figures_of(index_of(order)).objects << order;
  }
  return pages;
}

}  // namespace quarry
