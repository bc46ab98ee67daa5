declare const brand: unique symbol;
/** An amount of memory or disk in bytes. */
export type Bytes = number & { readonly [brand]: 'Bytes' };

const pattern = /^([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P|)$/;
const factorOf: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/**
 * Reads a Kubernetes-style quantity of bytes: `256Mi`, `1.5Gi`, `500M`, `1048576`. A part of a byte is rounded up, as
 * Kubernetes does. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 * @throws RangeError with the reason
 */
export const parseQuantity = (value: string): Bytes => {
  const [, count, suffix] = (value.length > 32 ? undefined : pattern.exec(value)) ?? [];
  const factor = factorOf[suffix ?? 'none'];
  if (count === undefined || factor === undefined) {
    throw new RangeError(
      `"${value.slice(0, 40)}" must be a quantity such as 256Mi, 1.5Gi or 500M (suffixes: Ki, Mi, Gi, Ti, Pi, k, M, G, T, P; none for bytes)`,
    );
  }
  const bytes = Math.ceil(Number(count) * factor);
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`"${value}" must be less than 8Pi`);
  return bytes as Bytes;
};
