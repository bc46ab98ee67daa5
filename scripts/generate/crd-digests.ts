import { parse } from 'yaml';
import { schemaDigest } from '../../src/cli/doctor/cluster/api-checks.ts';
import type { Crd } from '../../src/cli/doctor/cluster/facts.ts';
import { crds } from './crds.ts';

/** By what `adaptlet doctor` knows the CRDs of its version. */
export const crdDigests = async (): Promise<Map<string, string>> => {
  const digests = [...(await crds()).values()].map((text) => {
    const { metadata, spec } = parse(text) as Crd;
    return [metadata.name, schemaDigest(spec.versions)] as const;
  });
  const text = `${JSON.stringify(Object.fromEntries(digests), null, 2)}\n`;
  return new Map([['src/cli/doctor/cluster/crd-digests.json', text]]);
};
