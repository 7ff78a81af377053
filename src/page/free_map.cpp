#include "page/free_map.h"

#include <algorithm>

namespace quarry {

namespace {

constexpr unsigned word_units = 64;
constexpr unsigned chunk_words = 4;
constexpr unsigned chunk_units = chunk_words * word_units;
constexpr unsigned sheet_chunks = 64;
constexpr unsigned sheet_units = sheet_chunks * chunk_units;
constexpr unsigned sheet_words = sheet_units / word_units;

// In place of a sheet's longest run: some of its chunks have changed.
constexpr u32 unknown = UINT32_MAX;

// The bits [first, end) of a word; end is not 0.
constexpr u64 bits_between(std::size_t first, std::size_t end) {
  return ~u64{0} << first & ~u64{0} >> (word_units - end);
}

constexpr std::size_t sheets_for(std::size_t units) {
  return (units + sheet_units - 1) / sheet_units;
}

// Bytes of the runs of so many sheets, which come before the sheets.
constexpr std::size_t runs_size(std::size_t sheets) {
  return align_up(sheets * sizeof(free_runs), page_size);
}

free_runs runs_of_word(u64 word) {
  const auto first = static_cast<u32>(std::countr_one(word));
  const auto last = static_cast<u32>(std::countl_one(word));
  u32 longest = std::max(first, last);
  // What begins and ends inside.
  for (u64 rest = word & (word + 1); rest;) {
    rest >>= std::countr_zero(rest);
    const auto run = static_cast<u32>(std::countr_one(rest));
    longest = std::max(longest, run);
    rest &= rest + 1;
  }
  return {first, longest, last};
}

// Of `count` parts behind each other, of `length` units each.
template <class runs_fn>
free_runs joined(unsigned count, u32 length, runs_fn runs_of) {
  free_runs all = runs_of(0u);
  for (unsigned i = 1; i < count; i++) {
    const free_runs next = runs_of(i);
    if (all.first == i * length) all.first += next.first;
    all.longest = std::max({all.longest, all.last + next.first, next.longest});
    all.last = next.last == length ? all.last + length : next.last;
  }
  return all;
}

// Where the lowest `wanted` free units begin in parts of `length` units each, the first of which is
// unit `first`, with `before` free ones right before it. `inside` is asked for those inside a part.
template <class runs_fn, class inside_fn>
std::size_t find_in_parts(std::size_t first, std::size_t before, std::size_t wanted, unsigned parts,
                          std::size_t length, runs_fn runs_of, inside_fn inside) {
  for (unsigned i = 0; i < parts; i++, first += length) {
    const free_runs runs = runs_of(i);
    if (before + runs.first >= wanted) return first - before;
    if (runs.longest >= wanted) return inside(i, first);
    before = runs.last == length ? before + length : runs.last;
  }
  return free_map::none;
}

// Of a word that has them, in which bit 0 is unit `first`.
std::size_t find_in_word(u64 word, std::size_t first, std::size_t wanted) {
  std::size_t at = 0;
  for (;;) {
    at += std::countr_zero(word >> at);
    const auto run = static_cast<std::size_t>(std::countr_one(word >> at));
    if (run >= wanted) return first + at;
    at += run;
  }
}

}  // namespace

struct alignas(page_size) free_map::sheet {
  u64 words[sheet_words];  // a bit per unit, 1 where it is free
  free_runs chunks[sheet_chunks];
  u64 changed;  // a bit per chunk whose runs are to be counted again

  const u64* words_of(unsigned chunk) const { return words + chunk * chunk_words; }

  void count_changed() {
    for (; changed; changed &= changed - 1) {
      const auto i = static_cast<unsigned>(std::countr_zero(changed));
      const auto runs_of = [chunk = words_of(i)](auto w) { return runs_of_word(chunk[w]); };
      chunks[i] = joined(chunk_words, word_units, runs_of);
    }
  }

  free_runs count() const {
    return joined(sheet_chunks, chunk_units, [&](auto i) { return chunks[i]; });
  }

  // The sheet's first unit is `first`, with `before` free ones right before it.
  std::size_t find(std::size_t first, std::size_t before, std::size_t wanted) const {
    const auto in_chunk = [&](unsigned i, std::size_t begin) {
      const u64* chunk = words_of(i);
      return find_in_parts(
          begin, 0, wanted, chunk_words, word_units, [&](auto w) { return runs_of_word(chunk[w]); },
          [&](auto w, auto at) { return find_in_word(chunk[w], at, wanted); });
    };
    return find_in_parts(
        first, before, wanted, sheet_chunks, chunk_units, [&](auto i) { return chunks[i]; },
        in_chunk);
  }

  // Units [first, end) of the sheet.
  void change(std::size_t first, std::size_t end, bool free) {
    changed |= bits_between(first / chunk_units, (end - 1) / chunk_units + 1);
    while (first < end) {
      u64& word = words[first / word_units];
      const std::size_t begin = align_down(first, word_units);
      const u64 bits = bits_between(first - begin, std::min<std::size_t>(end - begin, word_units));
      word = free ? word | bits : word & ~bits;
      first = begin + word_units;
    }
  }
};

free_map::sheet* free_map::sheets() const {
  return reinterpret_cast<sheet*>(space_->free_map + runs_size(sheets_for(space_->total)));
}

std::size_t free_map::size_for(std::size_t units) {
  return runs_size(sheets_for(units)) + sheets_for(units) * sizeof(sheet);
}

bool free_map::commit_to(std::size_t wanted) {
  // The lengths of 341 sheets' runs share a page.
  const std::size_t runs = runs_size(sheets_);
  const std::size_t more = runs_size(wanted) - runs;
  if (more && !commit_part(space_->free_map + runs, more)) return false;
  if (!commit_part(sheets() + sheets_, (wanted - sheets_) * sizeof(sheet))) return false;
  sheets_ = wanted;
  return true;
}

bool free_map::start() {
  return space_->free_map && commit_to(std::max<std::size_t>(sheets_for(space_->mapped), 1));
}

bool free_map::grow_to(std::size_t end) {
  return !is_kept() || sheets_for(end) <= sheets_ || commit_to(sheets_for(end));
}

void free_map::change(std::size_t first, std::size_t count, bool free) {
  if (!is_kept()) return;
  const std::size_t end = first + count;
  while (first < end) {
    const std::size_t number = first / sheet_units;
    const std::size_t begin = number * sheet_units;
    const std::size_t part = std::min<std::size_t>(end - begin, sheet_units);
    sheets()[number].change(first - begin, part, free);
    runs_of_sheets()[number].longest = unknown;
    first = begin + sheet_units;
  }
}

free_runs free_map::runs_of_sheet(std::size_t number) {
  free_runs& runs = runs_of_sheets()[number];
  if (runs.longest == unknown) {
    sheets()[number].count_changed();
    runs = sheets()[number].count();
  }
  return runs;
}

std::size_t free_map::lowest(std::size_t count) {
  std::size_t before = 0;
  for (std::size_t number = 0; number < sheets_; number++) {
    const free_runs& runs = runs_of_sheets()[number];
    if (runs.longest >= count || before + runs.first >= count) {
      // Looked for before all of a sheet that has changed is counted: mostly it is found.
      sheets()[number].count_changed();
      const std::size_t found = sheets()[number].find(number * sheet_units, before, count);
      if (found != none) return found;
    }
    const free_runs all = runs_of_sheet(number);
    before = all.last == sheet_units ? before + sheet_units : all.last;
  }
  return none;
}

std::size_t free_map::begin_of_run(std::size_t end) {
  while (end > 0) {
    const std::size_t number = (end - 1) / sheet_units;
    const std::size_t begin = number * sheet_units;
    if (end == begin + sheet_units && runs_of_sheet(number).first == sheet_units) {
      end = begin;
      continue;
    }
    const std::size_t last = (end - 1 - begin) % word_units;
    const u64 word = sheets()[number].words[(end - 1 - begin) / word_units];
    const auto run = static_cast<std::size_t>(std::countl_one(word << (word_units - 1 - last)));
    end -= run;
    if (run <= last) break;
  }
  return end;
}

}  // namespace quarry
