import { refusalOfSource } from '../api/allowed-source.ts';
import type { Manifest, ParsedManifest } from '../api/objects.ts';
import { type FieldProblem, pathText } from '../api/problems.ts';
import { keyOf } from '../api/references.ts';
import type { Target } from '../api/route.ts';
import { isAllowed } from '../egress/host-pattern.ts';
import type { ErrorCode } from '../errors/catalogue.ts';

type Any = Manifest | ParsedManifest;
type Of<K extends Any['kind']> = Extract<Any, { kind: K }>;

/** A field that asks for what a policy does not allow. */
export type PolicyFinding = FieldProblem & { readonly code: ErrorCode };

/** What of an object the policy of its namespace does not allow. Pure. */
export const policyFindings = (object: Any, policy: Of<'AdapterPolicy'>): PolicyFinding[] => {
  switch (object.kind) {
    case 'Adapter':
      return [
        ...ofSource(object.spec.source, ['spec', 'source'], policy),
        ...ofFolder(object.spec, ['spec', 'source'], policy),
      ];
    case 'AdapterRollout':
      return [
        ...(object.spec.fallbackToBase ? ofBase(['spec', 'fallbackToBase'], policy) : []),
        ...ofMetrics(object.spec.strategy, ['spec', 'strategy'], policy),
      ];
    case 'AdapterRoute':
      return [
        ...object.spec.rules.flatMap(({ targets = [], perUser, fallback }, index) => {
          const at = ['spec', 'rules', index];
          return [
            ...(perUser === undefined ? [] : ofSource(perUser.source, [...at, 'perUser', 'source'], policy)),
            ...ofTargets(targets, [...at, 'targets'], policy),
            ...ofTargets(fallback, [...at, 'fallback'], policy),
          ];
        }),
        ...(object.spec.classifiers ?? []).flatMap(({ examples, onnx }, index) => {
          const artifact = onnx ?? examples;
          const at = ['spec', 'classifiers', index, onnx === undefined ? 'examples' : 'onnx', 'source'];
          if (artifact === undefined) return [];
          return [...ofSource(artifact.source, at, policy), ...ofFolder(artifact, at, policy)];
        }),
      ];
    case 'AdapterAnalysis':
      return ofMetrics(object.spec, ['spec'], policy);
    case 'AdapterPolicy':
      return [];
  }
};

type Path = FieldProblem['path'];

const ofSource = (
  source: Of<'Adapter'>['spec']['source'],
  path: Path,
  policy: Of<'AdapterPolicy'>,
): PolicyFinding[] => {
  const why = refusalOfSource(policy.spec.sources, source, keyOf(policy));
  return why === undefined ? [] : [{ path, code: 'SOURCE_NOT_ALLOWED', reason: `${pathText(path)}: ${why}` }];
};

const ofFolder = (
  { source, signatures }: Pick<Of<'Adapter'>['spec'], 'source' | 'signatures'>,
  path: Path,
  policy: Of<'AdapterPolicy'>,
): PolicyFinding[] => {
  if (source.oci !== undefined) return [];
  const isAsked = policy.spec.signatures?.required === true;
  if (!isAsked && signatures === undefined) return [];
  const who = isAsked ? `the policy ${keyOf(policy)}` : 'spec.signatures';
  const reason = `${pathText(path)}: ${who} asks for a signature, and a folder has none: push it to a registry and sign it there`;
  return [{ path, code: 'SIGNATURE_MISSING', reason }];
};

/** Sources of metrics wherever they are in a strategy or an analysis. */
const ofMetrics = (value: unknown, path: Path, policy: Of<'AdapterPolicy'>): PolicyFinding[] => {
  const hosts = policy.spec.sources.metricHosts;
  if (hosts === undefined || typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key];
    if (typeof below !== 'string' || !isAddressOfSource(at)) return ofMetrics(below, at, policy);
    // A placeholder is never part of the host.
    const url = new URL(below.replaceAll(/[{}]/g, ''));
    if (hosts.length > 0 && isAllowed(url, hosts, 'Https')) return [];
    const allowed = hosts.length === 0 ? 'none' : hosts.join(', ');
    const reason = `${pathText(at)}: the host ${url.host} is not one that the policy ${keyOf(policy)} allows in spec.sources.metricHosts: ${allowed}`;
    return [{ path: at, code: 'METRIC_DENIED', reason }];
  });
};

const isAddressOfSource = (path: Path): boolean => {
  const [source, field] = path.slice(-2);
  return (source === 'http' && field === 'url') || (source === 'prometheus' && field === 'address');
};

const ofTargets = (targets: readonly Target[], path: Path, policy: Of<'AdapterPolicy'>): PolicyFinding[] =>
  targets.flatMap(({ base }, index) => (base === true ? ofBase([...path, index], policy) : []));

const ofBase = (path: Path, policy: Of<'AdapterPolicy'>): PolicyFinding[] =>
  policy.spec.base === 'Allow'
    ? []
    : [
        {
          path,
          code: 'BASE_NOT_ALLOWED',
          reason: `${pathText(path)}: the policy ${keyOf(policy)} does not let the base model answer (spec.base: Deny)`,
        },
      ];
