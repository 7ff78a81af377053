// Page blocks under the kernel's names (quarry/page.h): from addresses to pages and back; the rest
// is page/block.h. The public `struct page` is quarry::page, whose insides a program never sees.
#include "base/bits.h"
#include "heap/heap.h"
#include "os/fatal.h"
#include "page/block.h"
#include "page/highmem.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "preload/export.h"
#include "quarry/page.h"
#include "quarry/vmalloc.h"

QUARRY_NEEDS(quarry_process_hooks);

namespace {

using quarry::bytes_to_pages;
using quarry::page_shift;
using quarry::page_size;
using quarry::uptr;
using quarry::zone_kind;

quarry::page* inner(struct page* p) {
  return reinterpret_cast<quarry::page*>(p);
}
const quarry::page* inner(const struct page* p) {
  return reinterpret_cast<const quarry::page*>(p);
}
struct page* outer(quarry::page* p) {
  return reinterpret_cast<struct page*>(p);
}

quarry::page* allocate(gfp_t gfp, unsigned order) {
  return quarry::start() ? quarry::alloc_block(gfp, order, quarry::local_node()) : nullptr;
}

unsigned long address_of(quarry::page* head) {
  return head ? reinterpret_cast<uptr>(quarry::zone_of(head)->space().address_of(head)) : 0;
}

unsigned long allocate_address(gfp_t gfp, unsigned order) {
  return address_of(allocate(gfp & ~__GFP_HIGHMEM, order));
}

void free_address(uptr address, unsigned order, const char* call) {
  if (!address) return;
  auto* memory = reinterpret_cast<void*>(address);
  quarry::page* head = quarry::page_at_address(memory);
  if (!head) quarry::os::die(call, memory, "not a page of this allocator");
  if (address % page_size) quarry::os::die(call, memory, "not the address of a page");
  quarry::free_block(head, order, call);
}

// Of a page of a zone, or of a block of vmalloc.
struct place {
  zone_kind kind;
  unsigned node;
  char* address;  // which nobody can use if the kind is highmem
};

place checked_place(const struct page* p, const char* call) {
  if (const quarry::zone* z = quarry::zone_of(inner(p))) {
    return {z->kind(), z->node(), z->space().address_of(inner(p))};
  }
  if (char* address = quarry::vm_address_of(inner(p))) return {zone_kind::normal, 0, address};
  quarry::os::die(call, p, "not a page of this allocator");
}

}  // namespace

QUARRY_EXPORT struct page* quarry_alloc_pages(gfp_t gfp, unsigned order) {
  return outer(allocate(gfp, order));
}

QUARRY_EXPORT struct page* quarry_alloc_pages_node(int node, gfp_t gfp, unsigned order) {
  if (!quarry::start()) return nullptr;
  const unsigned wanted = node < 0 ? quarry::local_node() : static_cast<unsigned>(node);
  if (wanted >= quarry::node_count()) return nullptr;
  return outer(quarry::alloc_block(gfp, order, wanted));
}

QUARRY_EXPORT int quarry_page_to_nid(const struct page* p) {
  return static_cast<int>(checked_place(p, "page_to_nid").node);
}

QUARRY_EXPORT int quarry_numa_node_id() {
  return quarry::start() ? static_cast<int>(quarry::local_node()) : 0;
}

QUARRY_EXPORT int quarry_num_online_nodes() {
  return quarry::start() ? static_cast<int>(quarry::node_count()) : 1;
}

QUARRY_EXPORT struct page* quarry_alloc_page(gfp_t gfp) {
  return outer(allocate(gfp, 0));
}

QUARRY_EXPORT unsigned long quarry___get_free_pages(gfp_t gfp, unsigned order) {
  return allocate_address(gfp, order);
}

QUARRY_EXPORT unsigned long quarry___get_free_page(gfp_t gfp) {
  return allocate_address(gfp, 0);
}

QUARRY_EXPORT unsigned long quarry_get_zeroed_page(gfp_t gfp) {
  return allocate_address(gfp | __GFP_ZERO, 0);
}

QUARRY_EXPORT void* quarry_alloc_pages_exact(size_t size, gfp_t gfp) {
  if (size == 0 || size > page_size << quarry::max_order || !quarry::start()) return nullptr;
  return reinterpret_cast<void*>(address_of(quarry::alloc_single_pages(
      gfp & ~__GFP_HIGHMEM, bytes_to_pages(size), quarry::local_node())));
}

QUARRY_EXPORT void quarry_free_pages_exact(void* address, size_t size) {
  for (size_t i = 0; address && i < bytes_to_pages(size); i++)
    free_address(reinterpret_cast<uptr>(address) + i * page_size, 0, "free_pages_exact");
}

QUARRY_EXPORT void quarry_split_page(struct page* p, unsigned order) {
  quarry::split_block(inner(p), order, "split_page");
}

QUARRY_EXPORT void quarry___free_pages(struct page* p, unsigned order) {
  quarry::free_block(inner(p), order, "__free_pages");
}

QUARRY_EXPORT void quarry___free_page(struct page* p) {
  quarry::free_block(inner(p), 0, "__free_page");
}

QUARRY_EXPORT void quarry_free_pages(unsigned long address, unsigned order) {
  free_address(address, order, "free_pages");
}

QUARRY_EXPORT void quarry_free_page(unsigned long address) {
  free_address(address, 0, "free_page");
}

QUARRY_EXPORT void quarry_get_page(struct page* p) {
  quarry::get_block(inner(p), "get_page");
}

QUARRY_EXPORT void quarry_put_page(struct page* p) {
  quarry::put_block(inner(p), "put_page");
}

QUARRY_EXPORT int quarry_page_count(const struct page* p) {
  return static_cast<int>(quarry::references_of(inner(p)));
}

QUARRY_EXPORT unsigned quarry_page_order(const struct page* p) {
  return quarry::references_of(inner(p)) ? inner(p)->order : 0;
}

QUARRY_EXPORT void* quarry_page_address(const struct page* p) {
  const place at = checked_place(p, "page_address");
  return at.kind == zone_kind::highmem ? quarry::mapped_address(inner(p)) : at.address;
}

QUARRY_EXPORT struct page* quarry_virt_to_page(const void* address) {
  return outer(quarry::page_at_address(address));
}

QUARRY_EXPORT void* quarry_kmap(struct page* p) {
  const place at = checked_place(p, "kmap");
  if (at.kind != zone_kind::highmem) return at.address;
  quarry::check_in_block(inner(p), "kmap");
  return quarry::map_page(inner(p));
}

QUARRY_EXPORT void quarry_kunmap(struct page* p) {
  const place at = checked_place(p, "kunmap");
  if (at.kind == zone_kind::highmem) quarry::unmap_page(inner(p), "kunmap");
}

QUARRY_EXPORT void* quarry_vmap(struct page** pages, unsigned count, unsigned long,
                                pgprot_t protection) {
  for (unsigned i = 0; i < count; i++)
    quarry::check_in_block(inner(pages[i]), "vmap");
  return quarry::map_pages(reinterpret_cast<quarry::page* const*>(pages), count,
                           protection == PAGE_KERNEL);
}

QUARRY_EXPORT void quarry_vunmap(const void* address) {
  if (address) quarry::unmap_pages(const_cast<void*>(address), "vunmap");
}

QUARRY_EXPORT int quarry_highmem_fd(const struct page* p, off_t* offset) {
  const bool is_in_file = checked_place(p, "quarry_highmem_fd").kind == zone_kind::highmem;
  if (is_in_file && offset) *offset = static_cast<off_t>(quarry::highmem_offset(inner(p)));
  return is_in_file ? quarry::highmem_descriptor() : -1;
}

QUARRY_EXPORT struct page* quarry_vmalloc_to_page(const void* address) {
  quarry::page* p = quarry::mapped_page(address);
  return outer(p ? p : quarry::vm_page_at(address));
}

QUARRY_EXPORT unsigned long quarry_page_to_pfn(const struct page* p) {
  return reinterpret_cast<uptr>(checked_place(p, "page_to_pfn").address) >> page_shift;
}

QUARRY_EXPORT struct page* quarry_pfn_to_page(unsigned long pfn) {
  if (pfn > UINTPTR_MAX >> page_shift) return nullptr;
  const auto* address = reinterpret_cast<void*>(pfn << page_shift);
  quarry::page* p = quarry::page_at_address(address);
  return outer(p ? p : quarry::vm_page_at(address));
}

QUARRY_EXPORT enum zone_type quarry_page_zone(const struct page* p) {
  return static_cast<zone_type>(checked_place(p, "page_zone").kind);
}
