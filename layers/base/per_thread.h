#pragma once

#include <pthread.h>

#include <memory>
#include <new>
#include <system_error>

namespace strake::base {

/// One T for each thread: made when the thread first asks for it, destroyed when the thread ends.
/// For static objects. What `thread_local` does, but without the lock of the dynamic loader, which
/// that takes when it registers a destructor: while another thread loads a library (libcurl and all
/// that it needs), that is milliseconds.
template <typename T>
class PerThread {
 public:
  PerThread() {
    const int failure = ::pthread_key_create(&key_, [](void* own) { delete static_cast<T*>(own); });
    if (failure != 0) throw std::system_error(failure, std::generic_category(), "thread key");
  }
  // Lives as long as the process: its threads may still use it.
  ~PerThread() = default;
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  T& get() {
    if (void* const own = ::pthread_getspecific(key_)) return *static_cast<T*>(own);
    std::unique_ptr<T> made(new T);  // not value-initialised: it may be large
    if (::pthread_setspecific(key_, made.get()) != 0) throw std::bad_alloc();
    return *made.release();
  }

 private:
  pthread_key_t key_{};
};

}  // namespace strake::base
