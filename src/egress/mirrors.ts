/** By the host of a registry: hosts that may have its content, in the order in which they are asked. */
export type Mirrors = ReadonlyMap<string, readonly string[]>;

const host = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?$/;

/**
 * Reads `registry.example=mirror.site:5000,cache.site;docker.io=mirror.site:5000`.
 * @throws RangeError
 */
export const parseMirrors = (text: string): Mirrors => {
  const mirrors = new Map<string, readonly string[]>();
  for (const part of text.split(';').map((one) => one.trim())) {
    if (part === '') continue;
    const [registry = '', ...rest] = part.toLowerCase().split('=');
    const hosts = (rest[0] ?? '').split(',').map((one) => one.trim());
    if (rest.length !== 1 || ![registry, ...hosts].every((one) => host.test(one)))
      throw new RangeError(`"${part}" must be host=mirror,mirror, for example docker.io=mirror.example:5000`);
    if (mirrors.has(registry)) throw new RangeError(`"${registry}" is there twice`);
    if (hosts.includes(registry)) throw new RangeError(`"${registry}" is no mirror of itself`);
    mirrors.set(registry, hosts);
  }
  return mirrors;
};

/** What a digest names: whoever has it, nothing else can come. A tag means what its registry says. */
export const isByDigest = (path: string): boolean => /^(manifests|blobs)\/sha256:[0-9a-f]{64}$/.test(path);
