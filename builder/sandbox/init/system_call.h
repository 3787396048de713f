#pragma once

/// System calls without a C library: one function, the result or -errno. Where no assembly is given
/// for a processor, init is linked statically with the C library instead.

#if defined(__x86_64__) || defined(__aarch64__)
#define STRAKE_INIT_FREESTANDING 1
#else
#include <errno.h>
#include <unistd.h>
#endif

namespace strake::sandbox {

#if defined(__x86_64__)

inline long raw_system_call(long number, long a, long b, long c, long d, long e,
                            long f = 0) noexcept {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

inline long raw_system_call(long number, long a, long b, long c, long d, long e,
                            long f = 0) noexcept {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

#else

inline long raw_system_call(long number, long a, long b, long c, long d, long e,
                            long f = 0) noexcept {
  const long result = ::syscall(number, a, b, c, d, e, f);
  return result < 0 ? -errno : result;
}

#endif

inline long word(long value) noexcept {
  return value;
}
inline long word(const void* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}

/// Arguments are integers or pointers, at most five.
template <typename A = long, typename B = long, typename C = long, typename D = long,
          typename E = long>
long system_call(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0) noexcept {
  return raw_system_call(number, word(a), word(b), word(c), word(d), word(e));
}

}  // namespace strake::sandbox
