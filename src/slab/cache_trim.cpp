// Trimming: the pages of a slab in which no object is out go back to the system, so that the few
// objects that outlive a burst do not keep all of its memory. The slab's index stands beside it, so
// nothing else changes; such a page reads as zero when an object in it is next handed out.
//
// Not where a free object has something to keep: a constructor's work, or what checks left in it.
// While its pages go, with no lock held, the objects in them are out of the slab, as if somebody
// had taken them.
#include "page/zones.h"
#include "slab/cache.h"

namespace quarry {

namespace {

// Spare memory that has the helper look at the slabs, in units: this much more than at
// the last look, and that share of the cache's. A small program never sees the helper for it.
constexpr std::size_t more_spare = 2 * mib >> spare_shift;
constexpr std::size_t more_spare_share = 8;

// What is not worth the page faults, if the cache is needed again: less than this, or than that
// share of the cache's. And the share that huge pages are not cut up for.
constexpr std::size_t kept_spare = 512 * kib >> spare_shift;
constexpr std::size_t kept_spare_share = 16;
constexpr std::size_t huge_spare_share = 8;

// Slabs of a cache that are looked at under one locking; and in one look, each of which may take a
// cache miss: by the helper, and by a thread of the program's, which also gives no more pages back,
// of all caches together.
constexpr unsigned most_at_once = 64;
constexpr unsigned most_by_helper = 16384;
constexpr unsigned most_by_program = 2048;
constexpr std::size_t most_pages_by_program = 8192;

unsigned most_slabs(trim_depth depth) {
  switch (depth) {
    case trim_depth::some:
      return most_by_program;
    case trim_depth::idle:
      return most_by_helper;
    case trim_depth::everything:
      break;
  }
  return UINT32_MAX;
}

// Where the system refuses all of it (mlockall(2)) it is not asked for each slab.
constexpr unsigned most_refusals = 64;

bool has_ended(const trim_look& look) {
  if (look.refusals >= most_refusals) return true;
  return look.depth == trim_depth::some && look.result.pages >= most_pages_by_program;
}

}  // namespace

// More than there is now; or than there was at the least since the last look. At the most that can
// be counted, 4 GiB, no more is awaited.
void kmem_cache::await_spare(bool after_look) {
  const std::size_t more = more_spare + units() / more_spare_share;
  const std::size_t awaited = std::min<std::size_t>(spare() + more, UINT16_MAX);
  if (after_look || awaited < awaited_spare_) awaited_spare_ = static_cast<u16>(awaited);
}

bool kmem_cache::is_worth_a_look(trim_depth depth) const {
  if (depth == trim_depth::everything) return spare_objects() != 0;
  return spare() > std::max(kept_spare, units() / kept_spare_share);
}

void kmem_cache::trim(trim_look* look) {
  unsigned left = most_slabs(look->depth);
  for (bool goes_on = true; goes_on;) {
    QUARRY_SPARSE static constinit claims claimed{};  // under reclaim_lock
    claimed.slabs = claimed.ranges = claimed.pages = 0;
    {
      os::lock_guard guard(lock_);
      goes_on = look_at_slabs(look, &left, &claimed);
    }
    if (claimed.slabs != 0) purge(&claimed, look);
  }
}

// Goes through the partial slabs from the last to the first, each of which becomes the first, so
// that the next look goes on where this one ended. Returns, for a while, once enough is claimed or
// the lock was held for long enough; and false at the end.
bool kmem_cache::look_at_slabs(trim_look* look, unsigned* left, claims* claimed) {
  if (!can_be_trimmed()) return false;
  if (has_ended(*look)) {
    look->result.may_follow |= look->refusals < most_refusals;
    return false;
  }
  await_spare(true);
  if (!is_worth_a_look(look->depth)) return false;
  const bool is_all = look->depth == trim_depth::everything;
  const bool cuts_huge_pages = is_all || spare() > units() / huge_spare_share;
  *left = std::min(*left, slabs_);  // others may go on adding to the list
  for (unsigned i = 0; i < most_at_once && !claimed->are_full(); i++) {
    page* slab = partial_.back();
    if (!slab || slab->words[use_word] >> use_look_shift == look->number) return false;
    if (*left == 0) {
      look->result.may_follow = true;
      return false;
    }
    --*left;
    move_to_front(slab);
    look_at_slab(slab, cuts_huge_pages, look, claimed);
  }
  return true;
}

void kmem_cache::look_at_slab(page* slab, bool cuts_huge_pages, trim_look* look, claims* claimed) {
  const bool is_all = look->depth == trim_depth::everything;
  const u64 before = slab->words[use_word];
  const u64 now = look->number << use_look_shift;
  slab->words[use_word] = now;
  if (before == 0 && !is_all) {
    look->result.may_follow = true;
    return;
  }
  if (!cuts_huge_pages && zone_of(slab)->may_be_huge(slab)) return;
  slab->words[use_word] = now | use_trimmed | (before & use_refused);
  const bool is_trimmed = before & use_trimmed && !(is_all && before & use_refused);
  if (slab == untouched_) untouched_ = nullptr;
  if (!is_trimmed) claim_unused(slab, claimed);
}

std::pair<u32, u32> kmem_cache::objects_in(u32 first_page, u32 pages) const {
  const u32 begin = first_page << page_shift;
  const u32 end = (first_page + pages) << page_shift;
  const u32 first = begin / shape_.object_size;
  const u32 last = (end + shape_.object_size - 1) / shape_.object_size;
  return {std::min(first, shape_.objects), std::min(last, shape_.objects)};
}

void kmem_cache::claim_unused(page* slab, claims* claimed) {
  bitmap index = index_of(slab, shape_);
  const unsigned begin = claimed->ranges;
  page_range* open = nullptr;
  for (u32 p = 0; p < shape_.pages; p++) {
    const auto [first, last] = objects_in(p, 1);
    if (first == last || !index.all_set(first, last)) {
      open = nullptr;
    } else if (open) {
      open->pages++;
    } else if (claimed->ranges < begin + claim::most_ranges) {
      open = &claimed->range[claimed->ranges++];
      *open = {slab + p, 1, false};
    }
  }
  if (claimed->ranges == begin) return;
  claimed->slab[claimed->slabs++] = {slab, begin, claimed->ranges};
  claimed->pages += shape_.pages;
  for (unsigned i = begin; i < claimed->ranges; i++) {
    const page_range& r = claimed->range[i];
    const auto [first, last] = objects_in(static_cast<u32>(r.first - slab), r.pages);
    index.clear(first, last);
    slab->count += last - first;
    objects_out_ += last - first;
  }
  if (slab->count == shape_.objects) partial_.remove(slab);
}

// Slabs of one zone at a time: others' are those of other nodes.
void kmem_cache::purge(claims* claimed, trim_look* look) {
  for (unsigned i = 0, next; i < claimed->slabs; i = next) {
    zone* z = zone_of(claimed->slab[i].slab);
    for (next = i + 1; next < claimed->slabs; next++)
      if (zone_of(claimed->slab[next].slab) != z) break;
    const unsigned first = claimed->slab[i].first;
    z->trim(claimed->range + first, claimed->slab[next - 1].end - first);
  }
  for (unsigned i = 0; i < claimed->slabs; i++)
    end_claim(claimed->slab[i], *claimed, look);
}

void kmem_cache::end_claim(const claim& c, const claims& claimed, trim_look* look) {
  u64 refused = 0;
  for (unsigned i = c.first; i < c.end; i++) {
    if (claimed.range[i].is_gone)
      look->result.pages += claimed.range[i].pages;
    else
      refused = use_refused;
  }
  look->refusals += refused != 0;
  void* wrong;
  {
    os::lock_guard guard(lock_);
    u64& use = c.slab->words[use_word];
    const bool was_used = use == 0;  // by others, meanwhile
    wrong = unclaim(c, claimed);
    use = look->number << use_look_shift | (was_used ? 0 : use_trimmed | refused);
  }
  if (wrong) report(wrong, flush_call());
}

// Returns an object that was given back meanwhile, though it was free, if there is any.
void* kmem_cache::unclaim(const claim& c, const claims& claimed) {
  char* base = shape_.space->address_of(c.slab);
  void* objects[max_batch];
  for (unsigned i = c.first; i < c.end; i++) {
    const page_range& r = claimed.range[i];
    auto [next, last] = objects_in(static_cast<u32>(r.first - c.slab), r.pages);
    while (next < last) {
      unsigned count = 0;
      for (; next < last && count < max_batch; next++)
        objects[count++] = base + std::size_t{next} * shape_.object_size;
      const unsigned done = return_to_slabs(objects, count);
      if (done < count) return objects[done];
    }
  }
  if (c.slab->count != 0) move_to_front(c.slab);
  return nullptr;
}

}  // namespace quarry
