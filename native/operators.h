/* The operators of the library: one line here and one in library.c for each. */
#pragma once
#include "ort.h"

#define TRY(call)                          \
  do {                                     \
    const Status status_ = (call);         \
    if (status_ != NULL) return status_;   \
  } while (0)

/* True once ONNX Runtime was found to be 1.24 or newer: it has shapeAt. */
extern int hasReferences;

extern const struct CustomOp loraOperator; /* lora.c */
extern const struct CustomOp linearOperator; /* linear.c */
extern const struct CustomOp attentionOperator; /* attention.c */

/* What each operator answers alike: on any provider, in usual memory, and 1 for the least number of values and the version. */
static inline const char *provider(const struct CustomOp *op) { (void)op; return NULL; }
static inline int defaultMemory(const struct CustomOp *op, size_t index) { (void)op; (void)index; return 0; }
static inline int one(const struct CustomOp *op) { (void)op; return 1; }
