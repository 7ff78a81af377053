// How a symbol leaves the library; everything else is hidden.
#pragma once

#define QUARRY_EXPORT extern "C" __attribute__((visibility("default")))
