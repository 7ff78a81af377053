// Tokens that threads pass through the arrays. Each is at any time in an array, or held by exactly
// one thread: a token that two pop at once, or that one loses, is seen.
#pragma once

#include <atomic>
#include <mutex>
#include <random>
#include <vector>

#include "arrays.h"

namespace percpu_test {

class token_set {
 public:
  explicit token_set(std::size_t count) : tokens_(count) {}

  std::size_t size() const { return tokens_.size(); }
  void* at(std::size_t number) { return &tokens_[number]; }

  // A token begins in the hands of whoever got it by at(), not in an array.
  void leave(void* token) { change(token, held, listed); }
  void take(void* token) { change(token, listed, held); }

  unsigned wrong() const { return wrong_; }

 private:
  enum state { held, listed };
  struct token {
    std::atomic<int> state{held};
  };

  // No lock and no allocation: signal handlers do this as well.
  void change(void* address, state from, state to) {
    auto* t = static_cast<token*>(address);
    const bool is_one = t >= tokens_.data() && t < tokens_.data() + tokens_.size();
    if (!is_one || t->state.exchange(to) != from) wrong_++;
  }

  std::vector<token> tokens_;
  std::atomic<unsigned> wrong_{0};
};

// What one thread holds, and what it may do with it. Does not allocate after its construction.
class hand {
 public:
  hand(token_set* tokens, unsigned index, unsigned seed)
      : tokens_(tokens), index_(index), random_(seed) {
    held_.reserve(tokens->size());
  }

  std::vector<void*>& held() { return held_; }

  void pop() {
    if (void* token = percpu::pop(index_)) {
      take(token);
    } else {
      percpu::grow(index_, percpu::miss::empty);
    }
  }

  void push() {
    if (held_.empty()) return;
    void* token = held_.back();
    tokens_->leave(token);
    if (percpu::push(index_, token)) {
      held_.pop_back();
    } else {
      tokens_->take(token);
      percpu::grow(index_, percpu::miss::full);
    }
  }

  void pop_batch() {
    void* batch[max_batch];
    const unsigned got = percpu::pop_batch(index_, batch, random_() % (max_batch + 1));
    for (unsigned i = 0; i < got; i++)
      take(batch[i]);
  }

  void push_batch() {
    const auto count = std::min<std::size_t>(held_.size(), random_() % (max_batch + 1));
    void* const* batch = held_.data() + held_.size() - count;
    for (std::size_t i = 0; i < count; i++)
      tokens_->leave(batch[i]);
    const unsigned pushed = percpu::push_batch(index_, batch, static_cast<unsigned>(count));
    for (std::size_t i = pushed; i < count; i++)
      tokens_->take(batch[i]);
    held_.erase(held_.end() - static_cast<long>(count),
                held_.end() - static_cast<long>(count) + pushed);
  }

  // Little besides the sequences themselves, so that what stops them hits them in the middle.
  void juggle() {
    for (int i = 0; i < 32; i++) {
      if (void* token = percpu::pop(index_)) {
        tokens_->take(token);
        tokens_->leave(token);
        if (percpu::push(index_, token)) continue;
        tokens_->take(token);
        held_.push_back(token);
      }
      push();
    }
  }

  void anything() {
    switch (random_() % 8) {
      case 0:
        return pop_batch();
      case 1:
        return push_batch();
      case 2:
      case 3:
      case 4:
        return pop();
      default:
        return push();
    }
  }

 private:
  static constexpr unsigned max_batch = 16;

  void take(void* token) {
    tokens_->take(token);
    held_.push_back(token);
  }

  token_set* tokens_;
  unsigned index_;
  std::minstd_rand random_;
  std::vector<void*> held_;
};

}  // namespace percpu_test
