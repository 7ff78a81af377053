// Nothing in quarry/page.h and quarry/vmalloc.h sets errno, however it fails: what is there is the
// program's.
#include <quarry/page.h>
#include <quarry/vmalloc.h>

#include <cerrno>
#include <cstdint>

#include "../data_limit.h"
#include "../preload/child.h"

using preload_test::run_in_child;

namespace {

constexpr std::size_t mib = 1 << 20;
constexpr std::size_t left = 8 * mib;
constexpr std::size_t too_much = 64 * mib;
constexpr unsigned too_large = 14;  // the order of as much

struct failing_call {
  const char* name;
  bool (*fails)(void* block);  // given a block of vmalloc
};

void PrintTo(const failing_call& call, std::ostream* out) {
  *out << call.name;
}

class Errno : public testing::TestWithParam<failing_call> {};

TEST_P(Errno, IsNotSetWhereMemoryHasEnded) {
  const auto result = run_in_child([] {
    void* block = vmalloc(mib);
    if (!block) _exit(1);
    limit_data_to(left);
    errno = 77;
    if (!GetParam().fails(block)) _exit(2);
    if (errno != 77) _exit(3);
    vfree(block);
    _exit(errno == 77 ? 0 : 4);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Errno,
    testing::Values(
        failing_call{"vmalloc", [](void*) { return !vmalloc(too_much); }},
        failing_call{"vzalloc", [](void*) { return !vzalloc(too_much); }},
        failing_call{"vmalloc_of_too_much", [](void*) { return !vmalloc(SIZE_MAX); }},
        failing_call{"vrealloc",
                     [](void* block) { return !vrealloc(block, too_much, GFP_KERNEL); }},
        failing_call{"vrealloc_without_waiting",
                     [](void* block) { return !vrealloc(block, too_much, GFP_NOWAIT); }},
        failing_call{"alloc_pages", [](void*) { return !alloc_pages(GFP_KERNEL, too_large); }},
        failing_call{"alloc_pages_without_waiting",
                     [](void*) { return !alloc_pages(GFP_ATOMIC, too_large); }},
        failing_call{"alloc_pages_of_no_order",
                     [](void*) { return !alloc_pages(GFP_KERNEL, MAX_ORDER); }},
        failing_call{"get_free_pages",
                     [](void*) { return !__get_free_pages(GFP_KERNEL | __GFP_ZERO, too_large); }},
        failing_call{"alloc_pages_exact",
                     [](void*) { return !alloc_pages_exact(too_much - 1, GFP_KERNEL); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
