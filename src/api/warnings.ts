import { imageVersion } from './image.ts';
import type { ParsedManifest } from './objects.ts';
import type { FieldProblem } from './problems.ts';

/** What is allowed in one object, and yet likely to surprise. */
export const manifestWarnings = (manifest: ParsedManifest): FieldProblem[] => {
  switch (manifest.kind) {
    case 'Adapter':
      return adapterWarnings(manifest.spec);
    case 'AdapterRollout':
      return rolloutWarnings(manifest.spec);
    case 'AdapterRoute':
      return routeWarnings(manifest.spec);
    case 'AdapterPolicy':
      return policyWarnings(manifest.spec);
    case 'AdapterAnalysis':
      return [];
    default:
      return manifest satisfies never;
  }
};

type SpecOf<K extends ParsedManifest['kind']> = Extract<ParsedManifest, { kind: K }>['spec'];

const adapterWarnings = ({ source, digest }: SpecOf<'Adapter'>): FieldProblem[] => {
  if (digest !== undefined) return [];
  if (source.path !== undefined) {
    const reason =
      'spec.source.path: in a cluster a path needs spec.digest, so that every node has the same files';
    return [{ path: ['spec', 'source', 'path'], reason }];
  }
  if (source.http !== undefined || source.huggingFace !== undefined) {
    const name = source.http === undefined ? 'huggingFace' : 'http';
    const reason = `spec.source.${name}: in a cluster it needs spec.digest: \`adaptlet digest\` prints it`;
    return [{ path: ['spec', 'source', name], reason }];
  }
  const version = imageVersion(source.oci?.image ?? '');
  if (version.digest !== undefined) return [];
  const reason = `spec.source.oci.image: the tag ${version.tag ?? ''} can move, and nodes that fetch later may get something else: add @sha256:… or spec.digest`;
  return [{ path: ['spec', 'source', 'oci', 'image'], reason }];
};

const rolloutWarnings = ({ strategy }: SpecOf<'AdapterRollout'>): FieldProblem[] => {
  let weight = 0;
  return (strategy.canary?.steps ?? []).flatMap((step, index) => {
    const before = weight;
    weight = step.setWeight ?? weight;
    if (weight >= before) return [];
    const path = ['spec', 'strategy', 'canary', 'steps', index];
    return [
      {
        path,
        reason: `spec.strategy.canary.steps[${index}]: the weight falls from ${before} to ${weight}, which takes users back to stable`,
      },
    ];
  });
};

const routeWarnings = ({ rules }: SpecOf<'AdapterRoute'>): FieldProblem[] => {
  const all = rules.findIndex((rule) => rule.matches.length === 0);
  if (all === -1) return [];
  return rules.slice(all + 1).map((rule, offset) => ({
    path: ['spec', 'rules', all + 1 + offset],
    reason: `spec.rules[${all + 1 + offset}]: the rule ${rule.name} is never reached, ${rules[all]?.name ?? ''} before it takes every request`,
  }));
};

const policyWarnings = ({ clients }: SpecOf<'AdapterPolicy'>): FieldProblem[] => {
  const { anonymous, apiKeys, issuers, certificates, keysFromSecrets } = clients;
  if (
    anonymous === 'Allow' ||
    keysFromSecrets === 'Allow' ||
    apiKeys.length + issuers.length + certificates.length > 0
  )
    return [];
  const reason =
    'spec.clients: nobody may ask for the names of the namespace; add a key (`adaptlet key`), an issuer or a certificate, or anonymous: Allow';
  return [{ path: ['spec', 'clients'], reason }];
};
