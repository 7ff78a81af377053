// A circular doubly linked list through a node inside each element, as in the kernel's list.h.
// The list owns nothing and takes no lock; who may touch it is said where a list is declared.
#pragma once

#include "base/types.h"

namespace quarry {

struct list_node {
  list_node* next;
  list_node* previous;
};

// Removes a node from whatever list it is on.
inline void list_unlink(list_node* node) {
  node->previous->next = node->next;
  node->next->previous = node->previous;
}

// The element type begins with its node: T is standard layout and `link` its first member.
template <class T>
class list {
 public:
  constexpr list() = default;
  list(const list&) = delete;
  list& operator=(const list&) = delete;

  bool empty() const { return head_.next == nullptr || head_.next == &head_; }
  T* front() const { return empty() ? nullptr : element(head_.next); }

  T* back() const { return empty() ? nullptr : element(head_.previous); }

  // The one behind `item`, which is on this list; nullptr behind the last.
  T* after(const T* item) const {
    return item->link.next == &head_ ? nullptr : element(item->link.next);
  }

  void push_front(T* item) { insert(&item->link, &head()); }
  void push_back(T* item) { insert(&item->link, head().previous); }
  void remove(T* item) { list_unlink(&item->link); }

  T* pop_front() {
    T* item = front();
    if (item) remove(item);
    return item;
  }

  template <class visit_fn>
  void for_each(visit_fn visit) const {
    if (empty()) return;
    for (list_node* node = head_.next; node != &head_; node = node->next)
      visit(element(node));
  }

 private:
  static T* element(list_node* node) {
    static_assert(offsetof(T, link) == 0);
    return reinterpret_cast<T*>(node);
  }

  // All-zero is a valid empty list, so that lists in static storage need no constructor;
  // the first insertion closes the circle.
  list_node& head() {
    if (!head_.next) head_ = {&head_, &head_};
    return head_;
  }

  static void insert(list_node* node, list_node* after) {
    node->previous = after;
    node->next = after->next;
    after->next->previous = node;
    after->next = node;
  }

  list_node head_{};
};

}  // namespace quarry
