/*
 * What the operator needs of ONNX Runtime's C API: places of functions in OrtApi, and OrtCustomOp. Neither ever changes: new
 * versions add at the end (https://github.com/microsoft/onnxruntime, onnxruntime_c_api.h).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef const void *Status; /* NULL: all is well */
typedef const void *const *Api;

/* The least that has all but the functions since 1.24, and the one that has those. */
enum { apiVersion = 22, apiWithReferences = 24, fail = 1, invalidArgument = 2 };
enum { typeFloat = 1, typeUint8 = 2, typeInt32 = 6, typeInt64 = 7 };
enum { required = 0, optional = 1, variadic = 2 };

#define ORT(api, place, type) ((type)(api)[place])
#define createStatus(api, code, text) ORT(api, 0, Status (*)(int, const char *))(code, text)
#define createDomain(api, name, out) ORT(api, 26, Status (*)(const char *, void **))(name, out)
#define domainAdd(api, domain, op) ORT(api, 27, Status (*)(void *, const struct CustomOp *))(domain, op)
#define addDomain(api, options, domain) ORT(api, 28, Status (*)(void *, void *))(options, domain)
#define dataOf(api, value, out) ORT(api, 51, Status (*)(void *, void **))(value, out)
#define dimensionCount(api, info, out) ORT(api, 61, Status (*)(const void *, size_t *))(info, out)
#define dimensionsOf(api, info, out, count) ORT(api, 62, Status (*)(const void *, int64_t *, size_t))(info, out, count)
#define shapeOf(api, value, out) ORT(api, 65, Status (*)(const void *, void **))(value, out)
#define floatOf(api, info, name, out) ORT(api, 85, Status (*)(const void *, const char *, float *))(info, name, out)
#define integerOf(api, info, name, out) ORT(api, 86, Status (*)(const void *, const char *, int64_t *))(info, name, out)
#define stringOf(api, info, name, out, size) \
  ORT(api, 87, Status (*)(const void *, const char *, char *, size_t *))(info, name, out, size)
#define inputCount(api, context, out) ORT(api, 88, Status (*)(const void *, size_t *))(context, out)
#define inputAt(api, context, index, out) ORT(api, 90, Status (*)(const void *, size_t, const void **))(context, index, out)
#define outputAt(api, context, index, dims, count, out) \
  ORT(api, 91, Status (*)(void *, size_t, const int64_t *, size_t, void **))(context, index, dims, count, out)
#define releaseStatus(api, status) ORT(api, 93, void (*)(Status))(status)
#define releaseShape(api, info) ORT(api, 99, void (*)(void *))(info)
#define integersOf(api, info, name, out, count) \
  ORT(api, 163, Status (*)(const void *, const char *, int64_t *, size_t *))(info, name, out, count)
/* Each task by itself, to whichever thread is free. */
#define parallelFor(api, context, fn, total, data) \
  ORT(api, 274, Status (*)(const void *, void (*)(void *, size_t), size_t, size_t, void *))(context, fn, total, total, data)
/* Since 1.24: the shape where it is, without a copy. */
#define shapeAt(api, value, type, dims, count) \
  ORT(api, 414, Status (*)(const void *, int *, const int64_t **, size_t *))(value, type, dims, count)

typedef struct {
  Api (*getApi)(uint32_t version);
  const char *(*getVersion)(void);
} ApiBase;

struct CustomOp {
  uint32_t version;
  void *(*createKernel)(const struct CustomOp *, Api, const void *info);
  const char *(*getName)(const struct CustomOp *);
  const char *(*getProvider)(const struct CustomOp *);
  int (*getInputType)(const struct CustomOp *, size_t);
  size_t (*getInputTypeCount)(const struct CustomOp *);
  int (*getOutputType)(const struct CustomOp *, size_t);
  size_t (*getOutputTypeCount)(const struct CustomOp *);
  void (*compute)(void *kernel, void *context);
  void (*destroyKernel)(void *kernel);
  int (*getInputCharacteristic)(const struct CustomOp *, size_t);
  int (*getOutputCharacteristic)(const struct CustomOp *, size_t);
  int (*getInputMemoryType)(const struct CustomOp *, size_t);
  int (*getVariadicInputMinArity)(const struct CustomOp *);
  int (*getVariadicInputHomogeneity)(const struct CustomOp *);
  int (*getVariadicOutputMinArity)(const struct CustomOp *);
  int (*getVariadicOutputHomogeneity)(const struct CustomOp *);
  Status (*createKernelV2)(const struct CustomOp *, Api, const void *info, void **kernel);
  Status (*computeV2)(void *kernel, void *context);
  Status (*inferShape)(const struct CustomOp *, void *context);
  int (*getStartVersion)(const struct CustomOp *);
  int (*getEndVersion)(const struct CustomOp *);
  size_t (*getMayInplace)(int **inputs, int **outputs);
  void (*releaseMayInplace)(int *inputs, int *outputs);
  size_t (*getAliasMap)(int **inputs, int **outputs);
  void (*releaseAliasMap)(int *inputs, int *outputs);
};
