/* The operators of the library: one line here and one in library.c for each. */
#pragma once
#include "ort.h"

#define TRY(call)                          \
  do {                                     \
    const Status status_ = (call);         \
    if (status_ != NULL) return status_;   \
  } while (0)

enum { maxDims = 8 };
/* The dimensions of a tensor, of which there are up to maxDims. */
Status dimsOf(Api api, const void *tensor, int64_t *dims, size_t *count);

extern const struct CustomOp loraOperator; /* lora.c */
extern const struct CustomOp linearOperator; /* linear.c */
extern const struct CustomOp attentionOperator; /* attention.c */

/* What each operator answers alike: on any provider, in usual memory, and 1 for the least number of values and the version. */
static inline const char *provider(const struct CustomOp *op) { (void)op; return NULL; }
static inline int defaultMemory(const struct CustomOp *op, size_t index) { (void)op; (void)index; return 0; }
static inline int one(const struct CustomOp *op) { (void)op; return 1; }
