/* The whole system below the rules: where to begin, how to end, and the four routines that every
   compiler may call to move bytes. */

#include <stddef.h>
#include <stdint.h>

uint32_t zone_sync_rules(int64_t now);

void *memcpy(void *to, const void *from, size_t len)
{
    for (size_t n = 0; n < len; n++) ((char *)to)[n] = ((const char *)from)[n];
    return to;
}

void *memmove(void *to, const void *from, size_t len)
{
    if ((uintptr_t)to <= (uintptr_t)from) return memcpy(to, from, len);
    while (len--) ((char *)to)[len] = ((const char *)from)[len];
    return to;
}

void *memset(void *to, int value, size_t len)
{
    for (size_t n = 0; n < len; n++) ((char *)to)[n] = (char)value;
    return to;
}

int memcmp(const void *one, const void *two, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        int by = ((const unsigned char *)one)[n] - ((const unsigned char *)two)[n];
        if (by) return by;
    }
    return 0;
}

int bcmp(const void *one, const void *two, size_t len) { return memcmp(one, two, len); }

static _Noreturn void leave(uint32_t status)
{
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60), "D"((uint64_t)status));
#elif defined(__aarch64__)
    register uint64_t number __asm__("x8") = 93;
    register uint64_t value __asm__("x0") = status;
    __asm__ volatile("svc 0" : : "r"(number), "r"(value));
#endif
    for (;;) { }
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
_Noreturn void _start(void) { leave(zone_sync_rules(1700000000000)); }
