#include "halves.h"
#include "products.h"

extern const Halves halves_plain;

#if defined(__x86_64__)
#include <cpuid.h>
extern const Halves halves_avx512, halves_avx2;
extern const Products products_vnni, products_avxvnni, products_avx2;

static int all(uint32_t bits, uint32_t wanted) { return (bits & wanted) == wanted; }

/* The level of the x86-64 psABI, 4 at most, that processor and system give; 1 for all below 3. */
static int level(void) {
  uint32_t a, b, c1, c81 = 0, b7, c, d;
  if (!__get_cpuid(1, &a, &b, &c1, &d) || !all(c1, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE)) return 1;
  uint32_t saved;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !__get_cpuid(0x80000001, &a, &b, &c81, &d)) return 1;
  const int lzcnt = 1 << 5, vectors = 0x6, wide = 0xe6;
  if (!all(saved, vectors) || !all(c81, lzcnt) || !all(b7, bit_AVX2 | bit_BMI | bit_BMI2)) return 1;
  return all(saved, wide) && all(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL) ? 4 : 3;
}

const Halves *const *halvesHere(void) {
  static const Halves *const known[] = {&halves_avx512, &halves_avx2, &halves_plain, NULL};
  return known + 4 - (level() == 1 ? 2 : level());
}

const Products *productsHere(size_t at) {
  uint32_t most = 0, a = 0, b, c7 = 0, c, d;
  const int vnni = 1 << 11, avxvnni = 1 << 4, there = level();
  if (there < 3 || !__get_cpuid_count(7, 0, &most, &b, &c7, &d)) return NULL;
  if (most >= 1) __get_cpuid_count(7, 1, &a, &b, &c, &d);
  const Products *const known[] = {
      there == 4 && all(c7, vnni) ? &products_vnni : NULL,
      all(a, avxvnni) ? &products_avxvnni : NULL,
      &products_avx2,
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i] != NULL && at-- == 0) return known[i];
  return NULL;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>
extern const Halves halves_neon;
extern const Products products_dotprod;

const Halves *const *halvesHere(void) {
  static const Halves *const known[] = {&halves_neon, &halves_plain, NULL};
  return known;
}

const Products *productsHere(size_t at) { return at == 0 && getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &products_dotprod : NULL; }
#endif
