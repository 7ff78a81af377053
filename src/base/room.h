// Room for a static object that is made later, if ever: zeroes until then. A constant initializer
// with a pointer in it would have the loader write to the object's page in every program.
#pragma once

namespace quarry {

// `object` is made by std::construct_at, and never destroyed.
template <class T>
union room {
  constexpr room() : none() {}
  char none;
  T object;
};

}  // namespace quarry
