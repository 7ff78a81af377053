// Whether the test is built with AddressSanitizer: GCC has a macro for it, Clang a feature.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool with_address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool with_address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool with_address_sanitizer = false;
#endif
