/* What ONNX Runtime and the engine call: the list of operators, their version, and what they are computed with. */
#include <stdlib.h>
#include <string.h>
#include "halves.h"
#include "operators.h"
#include "products.h"

#define EXPORT __attribute__((visibility("default")))
static const char domainName[] = "adaptlet";

static const struct CustomOp *const operators[] = {
    &loraOperator,
    &linearOperator,
    &attentionOperator,
};

/* True once ONNX Runtime was found to be 1.24 or newer: it has shapeAt. */
static int hasReferences;

Status dimsOf(Api api, const void *tensor, int64_t *dims, size_t *count) {
  static const char tooMany[] = "adaptlet: a tensor has more than 8 dimensions";
  if (hasReferences) {
    int type;
    const int64_t *there;
    TRY(shapeAt(api, tensor, &type, &there, count));
    if (*count > maxDims) return createStatus(api, invalidArgument, tooMany);
    memcpy(dims, there, *count * sizeof *dims);
    return NULL;
  }
  void *info;
  TRY(shapeOf(api, tensor, &info));
  Status status = dimensionCount(api, info, count);
  if (status == NULL && *count > maxDims) status = createStatus(api, invalidArgument, tooMany);
  if (status == NULL) status = dimensionsOf(api, info, dims, *count);
  releaseShape(api, info);
  return status;
}

/* Of the table of an adapter, and of the attributes: who asks for another one must not use this. */
EXPORT int AdaptletOperatorVersion(void) { return 6; }

/* The instruction set that is used here. */
EXPORT const char *AdaptletInstructionSet(void) { return (*halvesHere())->name; }

/* Those that adaptlet.MatMulNBits can use here, the best one at 0; "" behind the last one. */
EXPORT const char *AdaptletProducts(size_t at) { return productsHere(at) == NULL ? "" : productsHere(at)->name; }

EXPORT size_t AdaptletPackedBytes(size_t in, size_t columns, size_t bits) { return packedBytes(in, columns, bits); }

EXPORT void AdaptletPack(const uint8_t *values, const float *scales, const uint8_t *zeros, size_t in, size_t columns, size_t bits, size_t block,
                         uint8_t *to) {
  const Stored from = {values, zeros, scales, in, columns, bits, block};
  pack(&from, to);
}

/* Adds the operators to the options of a session: RegisterCustomOpsLibrary_V2 calls it. */
EXPORT Status RegisterCustomOps(void *options, const ApiBase *base) {
  static void *domain; /* of all sessions, until the process ends */
  /* 1.24.0 and the like: what is asked for and not there would be complained of. */
  hasReferences = atoi(strchr(base->getVersion(), '.') + 1) >= apiWithReferences;
  const Api api = base->getApi(hasReferences ? apiWithReferences : apiVersion);
  if (domain == NULL) {
    void *made;
    TRY(createDomain(api, domainName, &made));
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) TRY(domainAdd(api, made, operators[i]));
    domain = made;
  }
  return addDomain(api, options, domain);
}
