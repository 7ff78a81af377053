// A file in memory only (memfd_create(2)): pages that have no address until they are mapped, at as
// many places as wanted. Offsets and sizes are multiples of the page size.
#pragma once

#include "os/file.h"

namespace quarry::os {

class memory_file {
 public:
  // False where the system has no such files, or RLIMIT_FSIZE allows none of that size. Nothing of
  // it takes memory yet.
  bool create(const char* name, std::size_t size);

  // -1 when the program has closed it, as those do that close every descriptor.
  int descriptor() const;

  // Maps a part of it at that place of a reservation, or wherever there is room (nullptr). Returns
  // where, nullptr if the system refuses.
  void* map(void* where, std::size_t offset, std::size_t size, bool writable) const;

  // Frees the memory of a part, which reads as zero afterwards.
  bool purge(std::size_t offset, std::size_t size) const;

 private:
  int fd_ = -1;         // written by create()
  file_identity id_{};  // likewise
};

}  // namespace quarry::os
