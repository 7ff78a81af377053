#include "slab/debug.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "os/fatal.h"
#include "quarry/slab.h"

namespace quarry {

namespace {

constexpr u8 red_inactive = 0xbb;
constexpr u8 red_active = 0xcc;
constexpr u8 poison_in_use = 0x5a;
constexpr u8 poison_free = 0x6b;
constexpr u8 poison_end = 0xa5;

constexpr std::size_t word = sizeof(u64);

struct user_notes {
  const void* taken_by;
  const void* given_by;
};

user_notes* users_of(char* slot, const object_layout& layout) {
  return layout.users ? reinterpret_cast<user_notes*>(slot + layout.users) : nullptr;
}

// The first byte of the range that is not `value`, or nullptr.
const char* first_other(const char* begin, const char* end, u8 value) {
  const char* at = std::find_if(begin, end, [=](char c) { return static_cast<u8>(c) != value; });
  return at == end ? nullptr : at;
}

text& hexadecimal(text& line, const char* byte) {
  constexpr char digits[] = "0123456789abcdef";
  const auto value = static_cast<u8>(*byte);
  return line << "0x" << digits[value >> 4] << digits[value & 15];
}

struct finding {
  const char* call;
  const char* cache;
  const char* bad;  // the byte that was written
};

[[noreturn]] void report(const char* slot, const object_layout& layout, const finding& f) {
  const char* object = slot + layout.left;
  text line;
  line << "quarry: " << f.call << '(';
  line.address(object) << "): ";
  hexadecimal(line, f.bad) << " was written ";
  if (f.bad < object) {
    line << static_cast<u64>(object - f.bad) << " bytes before the object";
  } else if (f.bad >= object + layout.size) {
    line << static_cast<u64>(f.bad - object) - layout.size << " bytes behind the end of the object";
  } else {
    line << "to byte " << static_cast<u64>(f.bad - object) << " of the free object";
  }
  line << " of cache \"" << f.cache << '"';
  describe_users(&line, slot, layout);
  os::die(&line);
}

void check_red_zones(const char* slot, const object_layout& layout, u8 value, finding f) {
  if (!layout.red_zone) return;
  const char* object = slot + layout.left;
  f.bad = first_other(slot, object, value);
  if (!f.bad) f.bad = first_other(object + layout.size, slot + layout.red_end, value);
  if (f.bad) report(slot, layout, f);
}

void check_poison(const char* slot, const object_layout& layout, finding f) {
  if (!layout.poison) return;
  const char* object = slot + layout.left;
  const char* last = object + layout.size - 1;
  f.bad = first_other(object, last, poison_free);
  if (!f.bad) f.bad = first_other(last, last + 1, poison_end);
  if (f.bad) report(slot, layout, f);
}

void paint_red_zones(char* slot, const object_layout& layout, u8 value) {
  if (!layout.red_zone) return;
  std::memset(slot, value, layout.left);
  const u32 end = layout.left + layout.size;
  std::memset(slot + end, value, layout.red_end - end);
}

void paint_free(char* slot, const object_layout& layout) {
  paint_red_zones(slot, layout, red_inactive);
  if (!layout.poison) return;
  std::memset(slot + layout.left, poison_free, layout.size - 1);
  std::memset(slot + layout.left + layout.size - 1, poison_end, 1);
}

}  // namespace

object_layout layout_for(std::size_t size, std::size_t alignment, unsigned long flags,
                         bool has_constructor) {
  constexpr unsigned long checks =
      SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_CONSISTENCY_CHECKS;
  object_layout layout{};
  layout.size = static_cast<u32>(size);
  layout.checks = flags & checks;
  layout.red_zone = flags & SLAB_RED_ZONE;
  layout.poison = (flags & SLAB_POISON) && !has_constructor;
  std::size_t end = size;
  if (layout.red_zone) {
    layout.left = static_cast<u32>(align_up(word, alignment));
    end = align_up(layout.left + size, word) + word;
  }
  layout.red_end = static_cast<u32>(end);
  if (flags & SLAB_STORE_USER) {
    layout.users = static_cast<u32>(align_up(end, word));
    end = layout.users + sizeof(user_notes);
  }
  layout.slot_size = static_cast<u32>(align_up(end, std::max(alignment, word)));
  return layout;
}

void paint_new(char* slot, const object_layout& layout) {
  if (user_notes* users = users_of(slot, layout)) *users = {};
  paint_free(slot, layout);
}

void check_free(char* slot, const object_layout& layout, const char* cache, const char* call) {
  const finding f = {call, cache, nullptr};
  check_red_zones(slot, layout, red_inactive, f);
  check_poison(slot, layout, f);
}

void check_and_take(char* slot, const object_layout& layout, const char* cache,
                    const void* caller) {
  check_free(slot, layout, cache, "kmem_cache_alloc");
  paint_red_zones(slot, layout, red_active);
  if (layout.poison) std::memset(slot + layout.left, poison_in_use, layout.size);
  if (user_notes* users = users_of(slot, layout)) users->taken_by = caller;
}

void check_and_give(char* slot, const object_layout& layout, const char* cache, const char* call,
                    const void* caller) {
  check_red_zones(slot, layout, red_active, {call, cache, nullptr});
  paint_free(slot, layout);
  if (user_notes* users = users_of(slot, layout)) users->given_by = caller;
}

void describe_users(text* line, const char* slot, const object_layout& layout) {
  const user_notes* users = users_of(const_cast<char*>(slot), layout);
  if (!users) return;
  if (users->taken_by) (*line << ", last taken at ").address(users->taken_by);
  if (users->given_by) (*line << ", last given back at ").address(users->given_by);
}

}  // namespace quarry
