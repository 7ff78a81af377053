// What is known of an address that should be an object: for messages, and for caches with checks.
#include "os/fatal.h"
#include "slab/cache.h"
#include "slab/dedicated.h"

namespace quarry {

void kmem_cache::settle(const void* object, const char* call) {
  if (percpu::is_last_in(number_, object)) examine_object(this, object, call);
  check_in_slab(object, call);
}

void kmem_cache::check_in_slab(const void* object, const char* call) {
  if (!is_in_slab(object)) report(object, call);
}

void kmem_cache::report(const void* object, const char* call) {
  text line;
  line << "quarry: " << call << '(';
  line.address(object) << "): ";
  page* slab = slab_of(object, shape_);
  // A single object's slab begins at the last frame before the address that is no tail.
  while (shape_.single && slab->kind == page_kind::none)
    slab--;
  const char* base = shape_.space->address_of(slab);
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(object) - base);
  const std::size_t number = offset / shape_.object_size;
  const char* slot = base + number * shape_.object_size;
  const bool is_slab = slab->kind == page_kind::slab && slab->tag == number_;
  if (is_dedicated() ? !is_slab || number >= shape_.objects : is_slab && number >= shape_.objects) {
    line << (is_dedicated() ? "not an object" : "not a block of this allocator");
  } else if (!is_slab) {
    // It was a slab's when the class map brought the object here, and an object in use keeps its
    // slab.
    line << "already free";
  } else if (slot + layout_.left != object) {
    line << "inside a block that begins at ";
    line.address(slot + layout_.left);
  } else {
    line << "already free";
  }
  if (is_dedicated()) {
    line << ", cache \"" << name_ << '"';
    if (number < shape_.objects) describe_users(&line, slot, layout_);
  }
  os::die(&line);
}

void* kmem_cache::allocate_checked(gfp_t gfp, unsigned node, const void* caller) {
  char* slot = static_cast<char*>(take_one(gfp, node));
  if (!slot) return nullptr;
  check_and_take(slot, layout_, name_, caller);
  return slot + layout_.left;
}

void kmem_cache::free_checked(void* object, const char* call, const void* caller) {
  check_in_slab(object, call);
  char* slot = slot_of(object);
  check_and_give(slot, layout_, name_, call, caller);
  void* given = slot;
  give_batch(&given, 1, false, true);
}

// Full slabs are on no list, so the map is looked through: this is for a message about wrong use.
std::size_t kmem_cache::find_objects(const void** objects, unsigned most, unsigned* found) {
  os::lock_guard guard(lock_);
  *found = 0;
  const frame_space& space = *shape_.space;
  const std::size_t frames = &space == &region.frames
                                 ? region.committed.load(std::memory_order_acquire) >> page_shift
                                 : space.mapped;
  for (std::size_t f = 0; f < frames && *found < most; f++) {
    page* slab = space.page_at(f);
    if (space.classes[f] != class_byte_ || slab_of(space.address_of(slab), shape_) != slab ||
        slab->kind != page_kind::slab || slab->tag != number_) {
      continue;
    }
    const char* base = space.address_of(slab);
    for (u32 i = 0; i < shape_.objects && *found < most; i++) {
      if (index_of(slab, shape_).test(i)) continue;
      objects[(*found)++] = base + std::size_t{i} * shape_.object_size + layout_.left;
    }
  }
  return objects_out_;
}

}  // namespace quarry
