#pragma once

namespace survival {

// Allocates under the library's lock; false if a block was found broken. By any thread.
bool use_library();

}  // namespace survival
