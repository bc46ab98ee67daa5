/* Packs the weights of a MatMulNBits node for products.c. */
#include <string.h>
#include "products.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

size_t packedBytes(size_t in, size_t columns, size_t bits) {
  return (columns + groupColumns - 1) / groupColumns * groupBytes((in + blockValues - 1) / blockValues, bits);
}

void pack(const Stored *from, uint8_t *to) {
  const size_t blocks = (from->in + blockValues - 1) / blockValues, bits = from->bits, size = valueBytes(bits);
  const size_t bytes = groupBytes(blocks, bits), own = blockValues * bits / 8;
  /* Blocks of them are several of ours, with one scale. */
  const size_t each = from->block / blockValues, theirs = (blocks + each - 1) / each, zerosOwn = (theirs * bits + 7) / 8;
  memset(to, 0, packedBytes(from->in, from->columns, bits));
  for (size_t first = 0; first < from->columns; first += groupColumns, to += bytes)
    for (size_t c = 0; c < least(groupColumns, from->columns - first); c++) {
      for (size_t b = 0; b < blocks; b++) {
        const size_t column = first + c, wide = b / each;
        const uint8_t *values = from->values + (column * theirs * each + b) * own;
        uint8_t *block = to + b * blockBytes(bits), *room = block + c * 4;
        for (size_t i = 0; i < own; i++) {
          /* Two values of 4 bits: each byte of `room` takes one of its lower half and one of its upper half. */
          if (bits == 8) room[i / 4 * 64 + i % 4] = values[i];
          else {
            const size_t part = i / 4 * 64, upper = i % 4 / 2 * 4, place = i % 2 * 2;
            room[part + place] |= (values[i] & 15) << upper;
            room[part + place + 1] |= (values[i] >> 4) << upper;
          }
        }
        memcpy(block + size + c * 4, from->scales + column * theirs + wide, 4);
        block[size + groupColumns * 4 + c] =
            from->zeros == NULL ? 1 << (bits - 1)
            : bits == 8         ? from->zeros[column * zerosOwn + wide]
                                : from->zeros[column * zerosOwn + wide / 2] >> wide % 2 * 4 & 15;
      }
    }
}
