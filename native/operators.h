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
